/**
 * Tasks of upstreams in the hands of clients: the extension of 2026-07-28 and the tasks of 2025-11-25, each between peers
 * of one family. Towards clients a task id is a sealed handle that names the server and the subject it was made for, so
 * that nothing has to be remembered and nobody else can use it.
 */

import { Flag, Kind, Method } from '../../native/layout.js';
import type { Spans } from '../../native/spans.js';
import type { ErrorCode } from '../errors.js';
import { applyEdits, type Edit, findPath, type Range, stringValue } from '../protocol/json-cursor.js';
import { Era, Revision } from '../protocol/revisions.js';
import { type Exchange, MessageFlag } from '../request/exchange/index.js';
import { Verdict, VerdictWord } from '../shared/records.js';
import type { HandleSealer } from './handles.js';

/** A task at its upstream. */
export interface UpstreamTask {
  readonly server: number;
  readonly id: string;
  /** The tool that made it, as its server calls it: whose rules hold for the task. */
  readonly tool: string;
}

/** What {@link TaskRoutes} needs of the rest. */
export interface TaskRoutesOptions {
  readonly handles: HandleSealer;
  /** Name of a server, '' if there is none of that index. */
  serverName(server: number): string;
  /** Index of a server by its name, -1 if it is not configured (any more). */
  serverIndex(name: string): number;
  /** Whether a server of that era carries tasks. */
  carries(server: number, era: number): boolean;
  /** Reads a message as decode does; `false` = it is not one. */
  scan(bytes: Uint8Array, length: number, spans: Spans): boolean;
  /** Forwards a call as its verdict says. */
  send(exchange: Exchange, bytes: Uint8Array, length: number): void;
  refuse(exchange: Exchange, code: ErrorCode): void;
  /** What the server calls the tool of a call. */
  toolOf(exchange: Exchange): string;
  /**
   * Sends a message on the standalone stream of a session, if its client may hear of tasks of the tool with that address
   * (`server:tool`).
   *
   * @param token that started the task; counts where the stream has none of its own
   */
  tell(sessionId: string, token: string, address: string, message: Uint8Array): void;
}

/** Who started a task of 2025-11-25, and with what. */
interface Starter {
  readonly sessionId: string;
  readonly subject: string;
  readonly tool: string;
  readonly token: string;
}

/** Tasks of 2025-11-25 whose session is remembered, for their status notifications; the oldest are forgotten. */
const MAX_FOLLOWED = 10_000;
/** Longest id of an upstream that is sealed, in characters. */
const LONGEST_ID = 1024;

const RELATED = 'io.modelcontextprotocol/related-task';
const NO_SUBJECT = new Int32Array(4);

/** See the file comment. */
export class TaskRoutes {
  readonly #options: TaskRoutesOptions;
  /** By server name and task id of the upstream. */
  readonly #followed = new Map<string, Starter>();

  constructor(options: TaskRoutesOptions) {
    this.#options = options;
  }

  /** Names the tool that a `tasks/*` call is about, for the policy; a handle that is none of ours stays what it is. */
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
    if (found === null || !this.#options.carries(found.server, exchange.client.era)) {
      this.#options.refuse(exchange, 'GW_UNKNOWN_TASK');
      return;
    }
    const id = Buffer.from(JSON.stringify(found.id).slice(1, -1));
    const message = Buffer.concat([bytes.subarray(0, start), id, bytes.subarray(end, length)]);
    if (!this.#options.scan(message, message.length, spans)) {
      this.#options.refuse(exchange, 'GW_UNKNOWN_TASK');
      return;
    }
    // A call that is tried elsewhere is tried with the bytes that its spans belong to.
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
    this.#options.send(exchange, message, message.length);
  }

  /** The task behind a handle, if it was made for that subject; null otherwise. */
  taskOf(handle: string, subject: Int32Array): UpstreamTask | null {
    const content = this.#open(handle);
    if (content === null || content.owner !== subjectText(subject)) return null;
    const server = this.#options.serverIndex(content.server);
    return server < 0 ? null : { server, id: content.id, tool: content.tool };
  }

  #open(handle: string): { server: string; owner: string; id: string; tool: string } | null {
    const content = this.#options.handles.open(handle);
    if (content === null) return null;
    const [server, owner, id, tool] = JSON.parse(content.toString('utf8')) as [string, string, string, string?];
    return tool === undefined ? null : { server, owner, id, tool };
  }

  /** Whether a response may speak of tasks: cheap, asked for every response. */
  concerns(exchange: Exchange, spans: Spans): boolean {
    if (spans.kind !== Kind.response) return false;
    if ((exchange.message.flags & MessageFlag.task) !== 0) return true;
    if (exchange.call.era === Era.modern) {
      return spans.resultTypeStart >= 0 && (spans.flags & (Flag.resultComplete | Flag.resultInputRequired)) === 0;
    }
    return (
      exchange.client.revision === Revision.r2025_11_25 &&
      exchange.message.spans.method === Method.toolsCall &&
      this.#options.carries(exchange.call.server, Era.legacy)
    );
  }

  /**
   * The response with handles in place of the upstream's task ids.
   *
   * @returns null when it holds none and can be passed on as it is
   */
  sealed(exchange: Exchange, bytes: Uint8Array, spans: Spans, length: number): Buffer | null {
    if ((spans.flags & Flag.resultIsObject) === 0) return null;
    const start = spans.resultStart;
    const end = spans.resultEnd;
    const created = findPath(bytes, start, end, 'task', 'taskId') ?? this.#ownId(bytes, start, end);
    const related = findPath(bytes, start, end, '_meta', RELATED, 'taskId');
    const edits: Edit[] = [];
    for (const place of [created, related]) {
      const edit = place === undefined ? null : this.#edit(exchange, bytes, place);
      if (edit !== null) edits.push(edit);
    }
    if (edits.length === 0) return null;
    edits.sort((a, b) => a.start - b.start);
    return Buffer.from(applyEdits(bytes, 0, length, edits));
  }

  /** `notifications/tasks/status` of a legacy upstream: to the session that started the task. */
  statusChanged(server: number, bytes: Uint8Array, length: number, spans: Spans): void {
    const place = findPath(bytes, spans.paramsStart, spans.paramsEnd, 'taskId');
    const id = place === undefined ? undefined : stringValue(bytes, place.start, place.end);
    if (id === undefined || place === undefined) return;
    const name = this.#options.serverName(server);
    const owner = this.#followed.get(followKey(name, id));
    if (owner === undefined) return;
    const text = JSON.stringify(this.#seal(name, id, owner.subject, owner.tool));
    const edit: Edit = { start: place.start, end: place.end, text: Buffer.from(text) };
    const message = applyEdits(bytes, 0, length, [edit]);
    this.#options.tell(owner.sessionId, owner.token, `${name}:${owner.tool}`, message);
  }

  #ownId(bytes: Uint8Array, start: number, end: number): Range | undefined {
    return findPath(bytes, start, end, 'taskId');
  }

  #edit(exchange: Exchange, bytes: Uint8Array, place: Range): Edit | null {
    const id = stringValue(bytes, place.start, place.end);
    if (id === undefined || id.length > LONGEST_ID) return null;
    const subject = subjectText(subjectOf(exchange));
    const isCall = (exchange.message.flags & MessageFlag.task) === 0;
    const tool = isCall ? this.#options.toolOf(exchange) : exchange.message.taskTool;
    if (exchange.client.session !== null) this.#follow(exchange, id, subject, tool);
    const handle = this.#seal(this.#options.serverName(exchange.call.server), id, subject, tool);
    return { start: place.start, end: place.end, text: Buffer.from(JSON.stringify(handle)) };
  }

  #follow(exchange: Exchange, id: string, subject: string, tool: string): void {
    const key = followKey(this.#options.serverName(exchange.call.server), id);
    this.#followed.delete(key);
    if (this.#followed.size >= MAX_FOLLOWED) this.#followed.delete(this.#followed.keys().next().value!);
    this.#followed.set(key, { sessionId: exchange.client.session!.id, subject, tool, token: exchange.client.token });
  }

  /** The handle of an upstream's task for a subject; the same each time. */
  #seal(server: string, id: string, subject: string, tool: string): string {
    return this.#options.handles.seal(Buffer.from(JSON.stringify([server, subject, id, tool])), true);
  }
}

function followKey(server: string, id: string): string {
  return JSON.stringify([server, id]);
}

function subjectOf(exchange: Exchange): Int32Array {
  const { verdict } = exchange;
  return verdict.kind === 0 ? NO_SUBJECT : verdict.subarray(VerdictWord.subject0, VerdictWord.subject3 + 1);
}

function subjectText(subject: Int32Array): string {
  return Array.from(subject, (word) => (word >>> 0).toString(16)).join('.');
}
