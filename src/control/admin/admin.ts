/** The admin listener: metrics, statistics and health for operators, apart from the clients' port. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Snapshot } from '../../config/snapshot/index.js';
import { ERRORS, GatewayError } from '../../errors.js';
import { METRICS_TYPE } from '../../observe/metric-names.js';
import { type HeadLimits, RequestHead } from '../../request/accept/http/head.js';
import type { Count, Milliseconds } from '../../units.js';
import { AdminRules } from './rules.js';

/** The settings of the listener; it uses the host and origin lists of the clients' port. */
export type AdminSnapshot = Pick<Snapshot, 'allowedHosts' | 'allowedOrigins'> & {
  readonly admin: NonNullable<Snapshot['admin']>;
};

/** What the listener serves: the gateway. */
export interface AdminSource {
  /** The document of /metrics. */
  metrics(): Promise<string>;
  /** The document of /stats. */
  statsText(): Promise<string>;
  /**
   * Adds or removes the revocation in the JSON body of a request.
   *
   * @returns false when there is no such session or revocation
   * @throws TypeError, GatewayError with a sentence for the caller
   */
  revoke(body: unknown): boolean;
  unrevoke(body: unknown): boolean;
  /**
   * Explains the call in the JSON body of a request.
   *
   * @throws TypeError with a sentence for the caller
   */
  explain(body: unknown): Promise<unknown>;
  /**
   * Drops answers from the response cache: those that the JSON body of a request covers.
   *
   * @throws TypeError with a sentence for the caller
   */
  purgeCache(body: unknown): void;
  /** Sentences that say why the gateway is not ready; none = ready. */
  notReady(): readonly string[];
  /** The servers that are down; they are listed, whether or not they make the gateway unready. */
  down(): readonly { readonly server: string; readonly reason: string }[];
  /** A document could not be built. */
  documentFailed(error: unknown): void;
}

/** Limits of the listener. */
export interface AdminOptions {
  /** Concurrent connections; more are refused. Default 64. */
  readonly maxConnections?: Count;
  /** Time for a whole request head. Default 5 seconds. */
  readonly headersTimeoutMs?: Milliseconds;
}

/** A running listener. */
export interface Admin {
  readonly address: { readonly host: string; readonly port: number };
  /** Stops listening and cuts what is still open after `graceMs` (default 1,000). */
  close(graceMs?: Milliseconds): Promise<void>;
}

const JSON_TYPE = 'application/json; charset=utf-8';
const MAX_HEADER_BYTES = 8 * 1024;
const HEAD_LIMITS: HeadLimits = { maxHeaders: 64, maxHeaderBytes: MAX_HEADER_BYTES };
const MAX_BODY_BYTES = 32 * 1024;

interface Page {
  readonly path: string;
  readonly about: string;
  /** POST with a JSON body; default GET and HEAD. */
  readonly takes?: 'json';
  /** @param body of a page that takes one */
  answer(body: unknown): Promise<Answer> | Answer;
}

interface Answer {
  readonly status: number;
  /** The `Allow` of a 405. */
  readonly allow?: string;
  readonly type: string;
  readonly body: string;
}

/** Starts listening. @throws the listen error of node:net (EADDRINUSE, EACCES, ...) */
export async function openAdmin(
  source: AdminSource,
  snapshot: AdminSnapshot,
  options: AdminOptions = {},
): Promise<Admin> {
  const pages = pagesOf(source);
  const { admin, allowedHosts, allowedOrigins } = snapshot;
  const rules = new AdminRules(admin.host, allowedHosts, allowedOrigins);
  // Connections that close after the current response: further bytes are not read as requests.
  const ending = new WeakSet<Socket>();
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: options.headersTimeoutMs ?? 5_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      if (ending.has(request.socket)) return;
      const objection = objectionTo(request, rules);
      // An unread body is discarded by closing the connection.
      if (objection !== null || hasBody(request)) {
        ending.add(request.socket);
        response.setHeader('connection', 'close');
      }
      void respond(request, response, pages, objection, source);
    },
  );
  server.maxHeadersCount = HEAD_LIMITS.maxHeaders + 1;
  server.maxConnections = options.maxConnections ?? 64;
  await listen(server, admin);
  const { address, port } = server.address() as AddressInfo;
  return {
    address: { host: address, port },
    close: (graceMs = 1_000) => close(server, graceMs),
  };
}

function pagesOf(source: AdminSource): readonly Page[] {
  const metrics = shared(() => source.metrics());
  const stats = shared(() => source.statsText());
  const ready = (): Answer => {
    const reasons = source.notReady();
    const down = source.down();
    const body = { ready: reasons.length === 0, reasons, ...(down.length === 0 ? {} : { down }) };
    return json(reasons.length === 0 ? 200 : 503, body);
  };
  const pages: Page[] = [
    {
      path: '/metrics',
      about: 'Prometheus metrics',
      answer: async () => ({ status: 200, type: METRICS_TYPE, body: await metrics() }),
    },
    {
      path: '/stats',
      about: 'statistics of requests, upstreams, tools, cache, limiter and workers',
      answer: async () => ({ status: 200, type: JSON_TYPE, body: await stats() }),
    },
    { path: '/livez', about: '200 while the process runs', answer: () => json(200, { live: true }) },
    {
      path: '/readyz',
      about: '200 while requests are accepted, 503 with the reasons otherwise; with the servers that are down',
      answer: ready,
    },
    {
      path: '/revoke',
      about: 'POST {"token"}, {"tokenSha256"}, {"subject"} or {"session"}: refused from now on',
      takes: 'json',
      answer: (body) => revocation(() => source.revoke(body), 'There is no such session.'),
    },
    {
      path: '/unrevoke',
      about: 'POST the same: removes the revocation',
      takes: 'json',
      answer: (body) => revocation(() => source.unrevoke(body), 'There is no such revocation.'),
    },
    {
      path: '/cache/purge',
      about:
        'POST {"server", "tool" or "prompt" or "uri", "principal"}, all optional: drops these answers from the response cache',
      takes: 'json',
      answer: (body) => done(() => source.purgeCache(body)),
    },
  ];
  pages.push({
    path: '/explain',
    about: 'POST {"as", "scopes", "tool", "headers", "arguments"}: which rules apply to such a call, and why',
    takes: 'json',
    answer: async (body) => {
      try {
        return json(200, await source.explain(body));
      } catch (error) {
        if (error instanceof TypeError) return problem(400, error.message);
        throw error;
      }
    },
  });
  const index = Object.fromEntries(pages.map(({ path, about }) => [path, about]));
  return [...pages, { path: '/', about: 'this list', answer: () => json(200, { paths: index }) }];
}

function done(act: () => void): Answer {
  return revocation(() => {
    act();
    return true;
  }, '');
}

function revocation(act: () => boolean, nothing: string): Answer {
  try {
    return act() ? json(200, { done: true }) : problem(404, nothing);
  } catch (error) {
    if (error instanceof TypeError) return problem(400, error.message);
    if (error instanceof GatewayError) return problem(ERRORS[error.code].restStatus, error.message);
    throw error;
  }
}

/** Concurrent callers share one run of `make`, so that scrapers cannot queue work. */
function shared(make: () => Promise<string>): () => Promise<string> {
  let running: Promise<string> | null = null;
  return () => {
    running ??= make().finally(() => {
      running = null;
    });
    return running;
  };
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  pages: readonly Page[],
  objection: Answer | null,
  source: AdminSource,
): Promise<void> {
  request.on('error', () => {});
  response.on('error', () => {});
  const answer = objection ?? (await answerOf(request, pages, source));
  response.setHeader('content-type', answer.type);
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-content-type-options', 'nosniff');
  if (answer.allow !== undefined) response.setHeader('allow', answer.allow);
  const bytes = Buffer.from(answer.body, 'utf8');
  response.writeHead(answer.status, { 'content-length': bytes.length });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

/** Why a request is refused before routing, by the rules of the clients' port. Only POST may have a body, of a known length. */
function objectionTo(request: IncomingMessage, rules: AdminRules): Answer | null {
  const head = new RequestHead();
  const raw = request.rawHeaders;
  for (let at = 0; at < raw.length; at += 2) head.add(raw[at]?.toLowerCase() ?? '', raw[at + 1] ?? '');
  // The length of a chunked body is unknown until it ends, which the response must not wait for.
  const mayHaveBody = request.method === 'POST' && request.headers['transfer-encoding'] === undefined;
  const isWhole = head.hasValidFraming(HEAD_LIMITS) && (mayHaveBody || !head.hasBody);
  const isFramed = request.httpVersion === '1.1' && isWhole;
  const code = isFramed && request.url?.startsWith('/') === true ? head.originError(rules, true) : 'GW_FRAMING';
  return code === null ? null : problem(ERRORS[code].restStatus, ERRORS[code].sentence);
}

async function answerOf(request: IncomingMessage, pages: readonly Page[], source: AdminSource): Promise<Answer> {
  const target = request.url ?? '/';
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  const page = pages.find((candidate) => candidate.path === path);
  if (page === undefined) return problem(404, 'There is nothing at this path; GET / lists what there is.');
  const isPosted = page.takes === 'json';
  if (isPosted && request.method !== 'POST') return { ...problem(405, 'Only POST is answered here.'), allow: 'POST' };
  if (!isPosted && request.method !== 'GET' && request.method !== 'HEAD')
    return { ...problem(405, 'Only GET and HEAD are answered here.'), allow: 'GET, HEAD' };
  // A web page can send other types without a CORS preflight (Fetch, CORS protocol).
  if (isPosted && !/^application\/json *(;|$)/i.test(request.headers['content-type'] ?? ''))
    return problem(415, 'The content type must be application/json.');
  try {
    const body = isPosted ? await jsonBody(request) : null;
    return body === undefined
      ? problem(400, `The body must be JSON of at most ${MAX_BODY_BYTES} bytes.`)
      : await page.answer(body);
  } catch (error) {
    source.documentFailed(error);
    return problem(503, 'The document cannot be built at the moment; the log has the reason.');
  }
}

/** The JSON body of a request; undefined when there is none, or a longer one. */
async function jsonBody(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const part of request) {
      length += (part as Buffer).length;
      if (length > MAX_BODY_BYTES) return undefined;
      parts.push(part as Buffer);
    }
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    return undefined;
  }
}

function json(status: number, value: unknown): Answer {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

function problem(status: number, message: string): Answer {
  return json(status, { error: { status, message } });
}

function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      // Accept errors (too many open files) concern one connection, not the listener.
      server.on('error', () => {});
      resolve();
    });
  });
}

function close(server: Server, graceMs: Milliseconds): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
