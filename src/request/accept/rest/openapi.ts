/** The OpenAPI document of the REST transport: one operation for each tool that the client may list, and the general ones. */
import { createHash } from 'node:crypto';
import { findMember, insertMember, JsonCursor, stringValue } from '../../../protocol/json-cursor.js';
import { originHead } from '../../../protocol/origin-head.js';
import type { Bytes, Count } from '../../../units.js';
import type { Exchange } from '../../exchange/index.js';
import { EMPTY, JSON_HEAD } from '../http/answers.js';
import type { CallListener, HttpCall } from '../http/call.js';
import type { AcceptContext } from '../http/context.js';
import type { FrontHandler } from '../http/handler.js';
import { listMessage } from './messages.js';
import { GENERAL_PATHS, type OpenApiFrame, openApiFrame } from './openapi-frame.js';
import { RestReply } from './reply.js';

/** Pages of one list that are read. */
const MAX_PAGES: Count = 1_000;
/** Tools whose operations are written in one turn of the event loop. */
const TURN_TOOLS: Count = 100;

/** The Reply of a request for one page of tools. */
class PageReply extends RestReply {
  readonly #build: DocumentBuild;

  constructor(exchange: Exchange, handler: FrontHandler, build: DocumentBuild) {
    super(build.call, exchange, handler, true);
    this.#build = build;
  }

  protected override answerClient(exchange: Exchange, status: number, head: readonly string[], body: Uint8Array): void {
    if (status === 200) this.#build.addPage(body, exchange.client.origin);
    else super.answerClient(exchange, status, head, body);
  }
}

/** The last document, with its entity tag; kept while clients may list the same tools. */
interface DocumentCache {
  etag: string;
  document: Buffer;
}

/** The document for one client: its pages are read one after another, then its parts are written in several turns. */
class DocumentBuild implements CallListener {
  readonly call: HttpCall;
  readonly #context: AcceptContext;
  readonly #cache: DocumentCache;
  readonly #frame: OpenApiFrame;
  readonly #pages: Uint8Array[] = [];
  readonly #operations: string[] = [];
  #bytes: Bytes = 0;
  #isAbandoned = false;

  constructor(call: HttpCall, context: AcceptContext, cache: DocumentCache) {
    this.call = call;
    this.#context = context;
    this.#cache = cache;
    this.#frame = openApiFrame(context.rules.name, context.rules.auth[call.target?.view ?? 0]!.settings);
  }

  /** Asks for a page of the tools. @param cursor null = the first one */
  requestPage(cursor: string | null): void {
    const exchange = this.#context.acquire(this.call);
    if (exchange === null) return;
    const { handler } = this.#context;
    const message = listMessage('tools/list', cursor);
    exchange.client.reply = new PageReply(exchange, handler, this);
    handler.request(exchange, message, message.byteLength);
  }

  /** A page arrived; `body` is valid during the call only. */
  addPage(body: Uint8Array, origin: string): void {
    this.#pages.push(Buffer.from(body));
    this.#bytes += body.byteLength;
    const next = findMember(body, 0, body.byteLength, 'nextCursor');
    const cursor = next === undefined ? undefined : stringValue(body, next.start, next.end);
    const hasRoom = this.#pages.length < MAX_PAGES && this.#bytes < this.#context.rules.maxResponseBytes;
    // Not from within the stage that has written this page.
    this.#later(() => {
      if (cursor !== undefined && hasRoom) this.requestPage(cursor);
      else this.#finish(origin);
    });
  }

  drained(): void {}

  disconnected(): void {
    this.#isAbandoned = true;
  }

  #finish(origin: string): void {
    const hash = createHash('sha256').update(this.#frame.before).update(this.#frame.after);
    for (const page of this.#pages) hash.update(page);
    const etag = `"${hash.digest('base64url')}"`;
    const head = ['etag', etag, 'cache-control', 'private, no-cache'];
    if (origin !== '') head.push(...originHead(origin));
    if (this.call.head.hasAlready(etag)) this.call.send(304, head, EMPTY, 0, 0);
    else if (etag === this.#cache.etag) this.#send(head);
    else this.#write(head, etag, operationsOf(this.#pages));
  }

  /** Writes some operations, and goes on in the next turn. */
  #write(head: readonly string[], etag: string, operations: Generator<string, void>): void {
    for (let count = 0; count < TURN_TOOLS; count += 1) {
      const { done, value } = operations.next();
      if (done === true) {
        const { before, after } = this.#frame;
        const paths = [...GENERAL_PATHS, ...this.#operations].join(',');
        this.#cache.document = Buffer.from(`${before}${paths}${after}`);
        this.#cache.etag = etag;
        this.#send(head);
        return;
      }
      this.#operations.push(value);
    }
    this.#later(() => this.#write(head, etag, operations));
  }

  #send(head: readonly string[]): void {
    const { document } = this.#cache;
    this.call.send(200, [...JSON_HEAD, ...head], document, 0, document.byteLength);
  }

  /** Runs `work` in the next turn of the event loop, unless the client disconnects before. */
  #later(work: () => void): void {
    this.call.listener = this;
    setImmediate(() => {
      if (this.#isAbandoned) return;
      this.call.listener = null;
      work();
    });
  }
}

/** See the file comment. */
export class OpenApi {
  readonly #context: AcceptContext;
  readonly #cache: DocumentCache = { etag: '', document: EMPTY };

  constructor(context: AcceptContext) {
    this.#context = context;
  }

  /** Answers a GET of the document. */
  serve(call: HttpCall): void {
    new DocumentBuild(call, this.#context, this.#cache).requestPage(null);
  }
}

/** The path items of the tools on all pages. */
function* operationsOf(pages: readonly Uint8Array[]): Generator<string, void> {
  for (const page of pages) {
    const tools = findMember(page, 0, page.byteLength, 'tools');
    if (tools === undefined) continue;
    const cursor = new JsonCursor(page, tools.start);
    while (cursor.next()) {
      const operation = toolOperation(page, cursor.start, cursor.end);
      if (operation !== null) yield operation;
    }
  }
}

/** One tool as a path item; its schemas are copied unchanged. null = its path is used by another operation */
export function toolOperation(bytes: Uint8Array, start: number, end: number): string | null {
  const raw = (key: string): string | null => {
    const value = findMember(bytes, start, end, key);
    return value === undefined ? null : Buffer.from(bytes.subarray(value.start, value.end)).toString();
  };
  const nameToken = findMember(bytes, start, end, 'name');
  const name = nameToken === undefined ? undefined : stringValue(bytes, nameToken.start, nameToken.end);
  // That path is taken: the tool is called through it.
  if (name === undefined || name === 'call') return null;
  const path = encodeURIComponent(name);
  const description = raw('description');
  const title = raw('title');
  const input = resolvable(raw('inputSchema') ?? '{"type":"object"}', `urn:mcp:tool:${path}:input`);
  const output = resolvable(raw('outputSchema') ?? 'true', `urn:mcp:tool:${path}:output`);
  const members = [
    `"operationId":${JSON.stringify(name)}`,
    '"tags":["tools"]',
    ...(title === null ? [] : [`"summary":${title}`]),
    ...(description === null ? [] : [`"description":${description}`]),
    `"requestBody":{"content":{"application/json":{"schema":${input}}}}`,
    `"responses":{"200":{"description":"What the tool gives; isError is true when it failed.","content":{"application/json":{"schema":{"allOf":[{"$ref":"#/components/schemas/ToolResult"},{"properties":{"structuredContent":${output}}}]}}}},"default":{"$ref":"#/components/responses/Error"}}`,
  ];
  return `${JSON.stringify(`/tools/${path}`)}:{"post":{${members.join(',')}}}`;
}

/** Gives a schema an `$id`, so that its references resolve within it and not within the document. */
function resolvable(schema: string, id: string): string {
  if (!schema.startsWith('{') || !schema.includes('"$ref"') || schema.includes('"$id"')) return schema;
  const bytes = Buffer.from(schema);
  const edit = insertMember(bytes, 0, '$id', JSON.stringify(id));
  return `{${Buffer.from(edit.text).toString()}${schema.slice(1)}`;
}
