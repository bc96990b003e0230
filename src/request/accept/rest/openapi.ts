/** The OpenAPI document of the REST door: one operation for each tool that the client may list, and the general ones. */
import { createHash } from 'node:crypto';
import { findMember, insertMember, JsonCursor, stringValue } from '../../../protocol/json-cursor.js';
import type { Count } from '../../../units.js';
import type { Exchange } from '../../exchange/index.js';
import { JSON_HEAD } from '../http/answers.js';
import type { CallListener, HttpCall } from '../http/call.js';
import { originHead } from '../http/cors.js';
import type { FrontHandler } from '../http/handler.js';
import type { AcceptRules } from '../http/rules.js';
import { GENERAL_PATHS, openApiFrame } from './openapi-frame.js';
import { RestReply } from './reply.js';

/** What the document needs of the door. */
export interface OpenApiOptions {
  rules(): AcceptRules;
  /** Asks for a page of the tools: `reply` gives the exchange its Reply first. Answers the call if it cannot. */
  page(call: HttpCall, cursor: string | null, reply: (exchange: Exchange) => void): void;
}

/** Pages of one list that are read. */
const MAX_PAGES: Count = 1_000;
/** Tools whose operations are written in one turn of the loop. */
const TURN_TOOLS: Count = 100;

/** One page of tools on its way into the document. */
class PageReply extends RestReply {
  readonly #page: (body: Uint8Array) => void;

  constructor(call: HttpCall, exchange: Exchange, handler: FrontHandler, page: (body: Uint8Array) => void) {
    super(call, exchange, handler, true);
    this.#page = page;
  }

  protected override answer(status: number, head: readonly string[], body: Uint8Array): void {
    if (status === 200) this.#page(body);
    else super.answer(status, head, body);
  }
}

/** The document for one client. */
class Making implements CallListener {
  isOver = false;
  readonly call: HttpCall;
  readonly pages: Uint8Array[] = [];
  bytes = 0;

  constructor(call: HttpCall) {
    this.call = call;
  }

  drained(): void {}

  gone(): void {
    this.isOver = true;
  }

  /** Runs `work` in the next turn of the loop, unless the client has left. */
  later(work: () => void): void {
    this.call.listener = this;
    setImmediate(() => {
      if (this.isOver) return;
      this.call.listener = null;
      work();
    });
  }
}

/** See the file comment. The last document is kept until a client may list other tools. */
export class OpenApi {
  readonly #options: OpenApiOptions;
  #etag = '';
  #document: Buffer = Buffer.alloc(0);

  constructor(options: OpenApiOptions) {
    this.#options = options;
  }

  /** Answers a GET of the document. */
  serve(call: HttpCall, handler: FrontHandler): void {
    this.#page(new Making(call), null, handler);
  }

  #page(making: Making, cursor: string | null, handler: FrontHandler): void {
    const { call } = making;
    this.#options.page(call, cursor, (exchange) => {
      const { origin } = exchange.client;
      exchange.client.reply = new PageReply(call, exchange, handler, (body) => {
        making.pages.push(Buffer.from(body));
        making.bytes += body.byteLength;
        const next = findMember(body, 0, body.byteLength, 'nextCursor');
        const more = next === undefined ? undefined : stringValue(body, next.start, next.end);
        const room = making.pages.length < MAX_PAGES && making.bytes < this.#options.rules().maxResponseBytes;
        // Not from within the stage that has written this page.
        making.later(() => {
          if (more !== undefined && room) this.#page(making, more, handler);
          else this.#finish(making, origin);
        });
      });
    });
  }

  #finish(making: Making, origin: string): void {
    const { name, authRequired } = this.#options.rules();
    const hash = createHash('sha256').update(JSON.stringify([name, authRequired]));
    for (const page of making.pages) hash.update(page);
    const etag = `"${hash.digest('base64url')}"`;
    const head = [...JSON_HEAD, 'etag', etag, 'cache-control', 'private, no-cache'];
    if (origin !== '') head.push(...originHead(origin));
    const { call } = making;
    if (call.head.hasAlready(etag)) {
      call.send(304, head.slice(JSON_HEAD.length), NOTHING, 0, 0);
      return;
    }
    if (etag === this.#etag) {
      call.send(200, head, this.#document, 0, this.#document.byteLength);
      return;
    }
    const parts: string[] = [];
    const rest = operations(making.pages);
    const turn = (): void => {
      for (let count = 0; count < TURN_TOOLS; count += 1) {
        const step = rest.next();
        if (step.done === true) {
          const { before, after } = openApiFrame(name, authRequired);
          this.#document = Buffer.from(`${before}${[...GENERAL_PATHS, ...parts].join(',')}${after}`);
          this.#etag = etag;
          call.send(200, head, this.#document, 0, this.#document.byteLength);
          return;
        }
        parts.push(step.value);
      }
      making.later(turn);
    };
    turn();
  }
}

const NOTHING = Buffer.alloc(0);

/** The path items of the tools on all pages. */
function* operations(pages: readonly Uint8Array[]): Generator<string, void> {
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

/** One tool as a path item; its schemas stay as the upstream wrote them. */
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

/** References within a schema mean the schema, not the document that it is put into. */
function resolvable(schema: string, id: string): string {
  if (!schema.startsWith('{') || !schema.includes('"$ref"') || schema.includes('"$id"')) return schema;
  const bytes = Buffer.from(schema);
  const edit = insertMember(bytes, 0, '$id', JSON.stringify(id));
  return `{${Buffer.from(edit.text).toString()}${schema.slice(1)}`;
}
