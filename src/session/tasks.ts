/**
 * Tasks of upstreams for clients: the tasks extension of 2026-07-28 and the tasks of 2025-11-25, each between peers of one
 * family. Clients get sealed handles as task ids. A handle names the server and the subject it was issued to, so the
 * gateway keeps no state for it and other subjects cannot use it.
 */

import { type Decoder, Flag, Kind, Method, ScanStatus } from '../../native/layout.js';
import type { Spans } from '../../native/spans.js';
import type { ErrorCode } from '../errors.js';
import { UPSTREAM_DEPTH } from '../protocol/depth.js';
import { applyEdits, type Edit, findPath, type Range, stringValue } from '../protocol/json-cursor.js';
import { Era, Revision } from '../protocol/revisions.js';
import { TASKS_EXTENSION } from '../protocol/tasks-extension.js';
import type { Caller } from '../request/exchange/caller.js';
import { type Exchange, MessageFlag } from '../request/exchange/index.js';
import { deleteFirst } from '../shared/delete-first.js';
import { Verdict } from '../shared/ring/records.js';
import type { HandleSealer } from './handles.js';
import type { Session, SessionTable } from './sessions.js';

/** A task at its upstream. */
export interface UpstreamTask {
  readonly server: number;
  readonly id: string;
  /** The tool that created it, under its upstream name; its rules apply to the task. */
  readonly tool: string;
}

/** What {@link TaskRoutes} reads of a server. */
export interface TaskServer {
  readonly name: string;
  /** Null before the first discovery. */
  readonly discovery: { readonly era: Era; readonly capabilities: Record<string, unknown> } | null;
}

/** What {@link TaskRoutes} works with. */
export interface TaskRoutesParts {
  readonly handles: HandleSealer;
  /** By server index. */
  readonly upstreams: { readonly servers: readonly TaskServer[] };
  readonly decoder: Pick<Decoder, 'scan'>;
  readonly tools: {
    /** The upstream name of the tool of a call in flight; empty when its catalog was dropped. */
    toolOf(exchange: Exchange): string;
  };
  readonly send: {
    /** Forwards a call according to its verdict. */
    send(exchange: Exchange, bytes: Uint8Array, length: number): void;
  };
  readonly write: { refuse(exchange: Exchange, code: ErrorCode): void };
  readonly sessions: Pick<SessionTable, 'open'>;
  readonly streams: {
    /** Sends a message on the standalone stream of a session. */
    sendTo(session: Session, message: Uint8Array): boolean;
  };
  readonly access: {
    /** Calls `then` if policy permits the client to call the tool with this address (`server:tool`). */
    whenTaskPermitted(
      client: { readonly caller: Caller; readonly address: string },
      address: string,
      then: () => void,
    ): void;
  };
}

/** The session and the tool that created a task of 2025-11-25. */
interface TaskOrigin {
  readonly sessionId: string;
  readonly subject: string;
  readonly tool: string;
  readonly caller: Caller;
}

/** Tasks of 2025-11-25 whose session is remembered for status notifications; the oldest are evicted. */
const MAX_ORIGINS = 10_000;
/** Longest task id of an upstream that is sealed, in characters. */
const MAX_ID = 1024;

/** The member of `_meta` that names the task of a message (MCP 2025-11-25, tasks). */
export const RELATED_TASK = 'io.modelcontextprotocol/related-task';
const NO_SUBJECT = new Int32Array(4);

/** See the file comment. The pipeline and the sink of upstream messages call it; one per front. */
export class TaskRoutes {
  readonly #parts: TaskRoutesParts;
  /** By server name and the upstream's task id. */
  readonly #origins = new Map<string, TaskOrigin>();

  constructor(parts: TaskRoutesParts) {
    this.#parts = parts;
  }

  /** Sets the tool of a `tasks/*` call as its name for policy; a forged handle stays as it is. */
  nameTool(exchange: Exchange, bytes: Uint8Array): void {
    const { spans } = exchange.message;
    const start = spans.nameStart;
    const handle = start < 0 ? undefined : stringValue(bytes, start - 1, spans.nameEnd + 1);
    const content = handle === undefined ? null : this.#open(handle);
    if (content !== null) exchange.message.decodedName = Buffer.from(`${content.server}:${content.tool}`);
  }

  /** Sends a permitted `tasks/*` call to the server that has the task, or refuses it. */
  task(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { spans } = exchange.message;
    const { verdict } = exchange;
    const start = spans.nameStart;
    const end = spans.nameEnd;
    const handle = start < 0 ? undefined : stringValue(bytes, start - 1, end + 1);
    const found = handle === undefined ? null : this.taskOf(handle, subjectOf(exchange));
    if (found === null || !this.#supportsTasks(found.server, exchange.client.era)) {
      this.#parts.write.refuse(exchange, 'GW_UNKNOWN_TASK');
      return;
    }
    const id = Buffer.from(JSON.stringify(found.id).slice(1, -1));
    const message = Buffer.concat([bytes.subarray(0, start), id, bytes.subarray(end, length)]);
    if (this.#parts.decoder.scan(message, message.length, spans.words, UPSTREAM_DEPTH) !== ScanStatus.ok) {
      this.#parts.write.refuse(exchange, 'GW_UNKNOWN_TASK');
      return;
    }
    // A retry at another endpoint needs the bytes that the spans belong to.
    exchange.message.body = message;
    exchange.message.bodyLength = message.length;
    exchange.message.flags |= MessageFlag.task;
    exchange.message.taskTool = found.tool;
    verdict.kind = Verdict.forward;
    verdict.server = found.server;
    verdict.route = -1;
    verdict.entry = -1;
    verdict.stripBytes = 0;
    verdict.flags = 0;
    this.#parts.send.send(exchange, message, message.length);
  }

  /** The task of a handle, if it was issued to that subject; null otherwise. */
  taskOf(handle: string, subject: Int32Array): UpstreamTask | null {
    const content = this.#open(handle);
    if (content === null || content.owner !== subjectText(subject)) return null;
    const server = this.#parts.upstreams.servers.findIndex(({ name }) => name === content.server);
    return server < 0 ? null : { server, id: content.id, tool: content.tool };
  }

  #open(handle: string): { server: string; owner: string; id: string; tool: string } | null {
    const content = this.#parts.handles.open(handle);
    if (content === null) return null;
    const [server, owner, id, tool] = JSON.parse(content.toString('utf8')) as [string, string, string, string?];
    return tool === undefined ? null : { server, owner, id, tool };
  }

  /** Whether a response may contain task ids. Called for every response, so it does not parse. */
  mayNameTasks(exchange: Exchange, spans: Spans): boolean {
    if (spans.kind !== Kind.response) return false;
    if ((exchange.message.flags & MessageFlag.task) !== 0) return true;
    if (exchange.call.era === Era.modern) {
      return spans.resultTypeStart >= 0 && (spans.flags & (Flag.resultComplete | Flag.resultInputRequired)) === 0;
    }
    return (
      exchange.client.revision === Revision.r2025_11_25 &&
      exchange.message.spans.method === Method.toolsCall &&
      this.#supportsTasks(exchange.call.server, Era.legacy)
    );
  }

  /**
   * The response with handles in place of the upstream's task ids.
   *
   * @returns null when it contains none and can be passed on unchanged
   */
  sealTaskIds(exchange: Exchange, bytes: Uint8Array, spans: Spans, length: number): Buffer | null {
    if ((spans.flags & Flag.resultIsObject) === 0) return null;
    const start = spans.resultStart;
    const end = spans.resultEnd;
    const created = findPath(bytes, start, end, 'task', 'taskId') ?? findPath(bytes, start, end, 'taskId');
    const related = findPath(bytes, start, end, '_meta', RELATED_TASK, 'taskId');
    const edits: Edit[] = [];
    for (const place of [created, related]) {
      const edit = place === undefined ? null : this.#edit(exchange, bytes, place);
      if (edit !== null) edits.push(edit);
    }
    if (edits.length === 0) return null;
    edits.sort((a, b) => a.start - b.start);
    return Buffer.from(applyEdits(bytes, 0, length, edits));
  }

  /** Passes `notifications/tasks/status` of a legacy upstream on to the session that created the task. */
  statusChanged(server: number, bytes: Uint8Array, length: number, spans: Spans): void {
    const place = findPath(bytes, spans.paramsStart, spans.paramsEnd, 'taskId');
    const id = place === undefined ? undefined : stringValue(bytes, place.start, place.end);
    if (id === undefined || place === undefined) return;
    const name = this.#serverName(server);
    const origin = this.#origins.get(originKey(name, id));
    if (origin === undefined) return;
    const text = JSON.stringify(this.#seal(name, id, origin.subject, origin.tool));
    const edit: Edit = { start: place.start, end: place.end, text: Buffer.from(text) };
    const message = applyEdits(bytes, 0, length, [edit]);
    const { access, sessions, streams } = this.#parts;
    const session = sessions.open(origin.sessionId);
    if (session === null) return;
    // Without a stream, the caller that created the task is checked.
    const caller = session.stream?.client.caller ?? origin.caller;
    access.whenTaskPermitted({ caller, address: '' }, `${name}:${origin.tool}`, () => streams.sendTo(session, message));
  }

  #serverName(server: number): string {
    return this.#parts.upstreams.servers[server]?.name ?? '';
  }

  /** Whether a server of that family supports tasks: a capability in 2025-11-25, an extension in 2026-07-28. */
  #supportsTasks(server: number, era: Era): boolean {
    const discovery = this.#parts.upstreams.servers[server]?.discovery ?? null;
    if (discovery === null || discovery.era !== era) return false;
    if (era === Era.legacy) return typeof discovery.capabilities['tasks'] === 'object';
    const { extensions } = discovery.capabilities as { extensions?: Record<string, unknown> };
    return extensions?.[TASKS_EXTENSION] !== undefined;
  }

  #edit(exchange: Exchange, bytes: Uint8Array, place: Range): Edit | null {
    const id = stringValue(bytes, place.start, place.end);
    if (id === undefined || id.length > MAX_ID) return null;
    const subject = subjectText(subjectOf(exchange));
    const isCall = (exchange.message.flags & MessageFlag.task) === 0;
    const tool = isCall ? this.#parts.tools.toolOf(exchange) : exchange.message.taskTool;
    const { session, caller } = exchange.client;
    const server = this.#serverName(exchange.call.server);
    if (session !== null) this.#rememberOrigin(server, id, { sessionId: session.id, subject, tool, caller });
    const handle = this.#seal(server, id, subject, tool);
    return { start: place.start, end: place.end, text: Buffer.from(JSON.stringify(handle)) };
  }

  #rememberOrigin(server: string, id: string, origin: TaskOrigin): void {
    const key = originKey(server, id);
    this.#origins.delete(key);
    if (this.#origins.size >= MAX_ORIGINS) deleteFirst(this.#origins);
    this.#origins.set(key, origin);
  }

  /** The handle of an upstream's task for a subject; always the same. */
  #seal(server: string, id: string, subject: string, tool: string): string {
    return this.#parts.handles.seal(Buffer.from(JSON.stringify([server, subject, id, tool])), true);
  }
}

function originKey(server: string, id: string): string {
  return JSON.stringify([server, id]);
}

function subjectOf(exchange: Exchange): Int32Array {
  const { verdict } = exchange;
  return verdict.kind === 0 ? NO_SUBJECT : verdict.subject;
}

function subjectText(subject: Int32Array): string {
  return Array.from(subject, (word) => (word >>> 0).toString(16)).join('.');
}
