/**
 * The methods that the gateway answers itself, after the same decision as every other request: from the catalog's
 * prepared bytes and from session state.
 */
import { Kind, Method } from '../../../native/layout.js';
import type { Current } from '../../config/snapshot/current.js';
import type { Snapshot } from '../../config/snapshot/index.js';
import { restrictsLists } from '../../config/snapshot/restrictions.js';
import { applyEdits, findMember, type Range, removeMembers, stringValue } from '../../protocol/json-cursor.js';
import { levelNumber } from '../../protocol/levels.js';
import { Era, LATEST_LEGACY, MODERN, revisionNumber } from '../../protocol/revisions.js';
import type { HiddenEntries } from '../../shared/hidden-entries.js';
import { Operation } from '../../shared/ring/records.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import { type Exchange, MessageFlag, Phase, type SessionLike, sessionMissing } from '../exchange/index.js';
import type { WriteStage } from './index.js';

/** What the catalog has ready. */
export interface PreparedAnswers {
  readonly version: number;
  /** Result bytes of `initialize`. */
  initializeResult(revision: number, audience: Audience): Uint8Array;
  /** Result bytes of `server/discover`. */
  discoverResult(audience: Audience): Uint8Array;
  /**
   * Result bytes of one page of a list; null for a cursor that is not ours.
   * @param cursor raw JSON token of `params.cursor`, null = first page
   */
  page(method: number, revision: number, cursor: Uint8Array | null, query: ListQuery): Uint8Array | null;
}

/** Who gets an answer of the catalog. */
export interface Audience {
  /** Position in `Snapshot.views`. */
  readonly view: number;
  /** What is hidden from the client; null = nothing. */
  readonly hidden: HiddenEntries | null;
}

/** Whose lists, of which view. */
export interface ListQuery extends Audience {
  /** The list set of clients for which some servers have lists of their own; '' or an unknown one = the lists that all share. */
  readonly set: string;
}

/** The lists of clients for which some servers have lists of their own. */
export interface ClientLists {
  /** The list set of the catalog for a list request; null = the lists that all clients share. `bytes` is valid during the call. */
  setFor(exchange: Exchange, bytes: Uint8Array): Promise<string> | null;
}

/** Requests of upstreams as their clients answer them (src/server-requests). */
export interface ClientAnswers {
  /** A client's answer to a request of an upstream; the exchange ends with 202. */
  clientResponse(exchange: Exchange, bytes: Uint8Array): void;
  /** A client's notification other than those handled here; the exchange ends with 202. */
  clientNotification(exchange: Exchange, bytes: Uint8Array): void;
  /** A client cancels `bytes[start, end)`, which may be a request of an upstream. */
  clientCancelled(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void;
}

/** What clients follow (src/subscriptions). */
export interface ClientSubscriptions {
  /** Answers `resources/subscribe` and `resources/unsubscribe` for a resource of `exchange.verdict`'s server. */
  subscribe(exchange: Exchange, bytes: Uint8Array): void;
  /** Answers `subscriptions/listen`. */
  listen(exchange: Exchange, bytes: Uint8Array): void;
  /** A client cancels its listen request with the id `bytes[start, end)`. */
  cancelled(exchange: Exchange, bytes: Uint8Array, start: number, end: number): boolean;
}

/** Legacy sessions as `initialize` makes and DELETE ends them. */
export interface LocalSessions {
  /** Makes a session; null when there are too many. @param viewBase `ViewSnapshot.base` of the view that it belongs to */
  create(
    revision: number,
    capabilities: Uint8Array,
    clientInfo: Uint8Array,
    subject: Int32Array,
    viewBase: string,
  ): SessionLike | null;
}

/** What {@link LocalAnswers} works with. */
export interface LocalParts {
  readonly write: WriteStage;
  readonly config: Current<Pick<Snapshot, 'auth' | 'routes' | 'views'>>;
  readonly catalog: { readonly current: PreparedAnswers };
  readonly catalogs: {
    /** The catalog of that version; null when it was dropped. */
    find(version: number): PreparedAnswers | null;
  };
  readonly dispatch: {
    readonly hiddenSets: {
      /** What is hidden from the client of a verdict on what the catalog shows; null = nothing. */
      find(verdict: VerdictRecord): HiddenEntries | null;
      /** Whether that is known; false = it was forgotten since. */
      covers(verdict: VerdictRecord): boolean;
    };
    /** Has a request decided again. */
    dispatch(exchange: Exchange, bytes: Uint8Array, length: number): void;
  };
  readonly listSets: ClientLists;
  readonly sessions: LocalSessions;
  readonly ends: { endSession(session: SessionLike): void };
  readonly streams: {
    /** Takes over a GET: the session's standalone stream. */
    open(exchange: Exchange): void;
  };
  readonly calls: {
    /** Cancels the request of this client with the id `bytes[start, end)`, if it is in flight. */
    cancel(exchange: Exchange, bytes: Uint8Array, start: number, end: number): boolean;
  };
  readonly requests: ClientAnswers;
  readonly subscriptions: ClientSubscriptions;
  readonly tasks: {
    /** `tasks/*`: sends it on, or answers it. */
    task(exchange: Exchange, bytes: Uint8Array, length: number): void;
  };
  readonly upstreams: {
    /** A client wants log messages from this level on. */
    wantLogLevel(level: number): void;
  };
}

const EMPTY_RESULT = Buffer.from('{}');
const EMPTY_OBJECT = Buffer.from('{}');
const NO_BYTES = Buffer.alloc(0);

/** Answers `Verdict.local`; one per front. */
export class LocalAnswers {
  readonly #parts: LocalParts;

  constructor(parts: LocalParts) {
    this.#parts = parts;
  }

  /** Answers one request; `bytes[0, length)` are valid during the call only. */
  answer(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { write } = this.#parts;
    const { spans } = exchange.message;
    const method = spans.method;
    switch (method) {
      case Method.toolsList:
      case Method.promptsList:
      case Method.resourcesList:
      case Method.templatesList:
        this.#list(exchange, bytes, length, method);
        return;
      case Method.ping:
        write.result(exchange, EMPTY_RESULT);
        return;
      case Method.discover: {
        const catalog = this.#judgedCatalog(exchange);
        if (catalog !== null) write.result(exchange, catalog.discoverResult(this.#audience(exchange)));
        return;
      }
      case Method.initialize:
        this.#initialize(exchange, bytes);
        return;
      case Method.setLevel:
        this.#setLevel(exchange, bytes);
        return;
      case Method.cancelled:
        this.#cancel(exchange, bytes);
        return;
      case Method.resourcesSubscribe:
      case Method.resourcesUnsubscribe:
        this.#parts.subscriptions.subscribe(exchange, bytes);
        return;
      case Method.subscriptionsListen:
        this.#parts.subscriptions.listen(exchange, bytes);
        return;
      case Method.tasksGet:
      case Method.tasksResult:
      case Method.tasksList:
      case Method.tasksCancel:
      case Method.tasksUpdate:
        this.#parts.tasks.task(exchange, bytes, length);
        return;
      case Operation.accept:
        if (spans.kind === Kind.response) this.#parts.requests.clientResponse(exchange, bytes);
        this.#acknowledge(exchange);
        return;
      case Operation.stream:
        this.#parts.streams.open(exchange);
        return;
      case Operation.terminate:
        if (exchange.client.session !== null) this.#parts.ends.endSession(exchange.client.session);
        write.empty(exchange, 200);
        return;
      default:
        if (spans.kind === Kind.notification) this.#parts.requests.clientNotification(exchange, bytes);
        this.#acknowledge(exchange);
    }
  }

  /** Notifications and responses are acknowledged with 202; a request gets an answer, whatever its method. */
  #acknowledge(exchange: Exchange): void {
    const { write } = this.#parts;
    if (exchange.message.spans.kind !== Kind.request) write.empty(exchange, 202);
    else if (exchange.client.era === Era.modern) write.refuse(exchange, 'GW_METHOD_NOT_FOUND_MODERN');
    else write.refuse(exchange, 'GW_METHOD_NOT_FOUND');
  }

  #cancel(exchange: Exchange, bytes: Uint8Array): void {
    const { spans } = exchange.message;
    const start = spans.requestIdStart;
    // Over HTTP a modern client cancels by closing its stream; where a connection is shared it has to say so.
    const mayCancel = exchange.client.era === Era.legacy || exchange.client.link !== null;
    if (start >= 0 && spans.kind !== Kind.request && mayCancel) {
      const { calls, requests, subscriptions } = this.#parts;
      calls.cancel(exchange, bytes, start, spans.requestIdEnd);
      subscriptions.cancelled(exchange, bytes, start, spans.requestIdEnd);
      requests.clientCancelled(exchange, bytes, start, spans.requestIdEnd);
    }
    this.#acknowledge(exchange);
  }

  #list(exchange: Exchange, bytes: Uint8Array, length: number, method: number): void {
    const start = exchange.message.spans.cursorStart;
    const cursor = start < 0 ? null : bytes.subarray(start, exchange.message.spans.cursorEnd);
    const set = this.#parts.listSets.setFor(exchange, bytes);
    if (set !== null) void this.#listWhen(set, exchange, Buffer.from(bytes.subarray(0, length)), method);
    else this.#page(exchange, method, cursor, '');
  }

  /**
   * The catalog that the verdict is about, since of a newer one it is not known what the client may see. Refuses and returns null
   * when it was dropped.
   */
  #judgedCatalog(exchange: Exchange): PreparedAnswers | null {
    const { catalog, catalogs, config, dispatch, write } = this.#parts;
    const { verdict } = exchange;
    const { current } = catalog;
    const isCurrent = verdict.catalogVersion === current.version || !restrictsLists(config.current);
    const judged = isCurrent ? current : catalogs.find(verdict.catalogVersion);
    // What is hidden may be forgotten while the lists of the client are read: then nothing is shown rather than everything.
    if (judged !== null && dispatch.hiddenSets.covers(verdict)) return judged;
    write.refuse(exchange, 'GW_OVERLOADED');
    return null;
  }

  #audience({ client, verdict }: Exchange): Audience {
    return { view: client.caller.view, hidden: this.#parts.dispatch.hiddenSets.find(verdict) };
  }

  #page(exchange: Exchange, method: number, cursor: Uint8Array | null, set: string): void {
    const { write } = this.#parts;
    const catalog = this.#judgedCatalog(exchange);
    if (catalog === null) return;
    const revision = exchange.client.era === Era.modern ? MODERN : exchange.client.revision;
    const page = catalog.page(method, revision, cursor, { ...this.#audience(exchange), set });
    if (page === null) write.refuse(exchange, 'GW_INVALID_CURSOR');
    else write.result(exchange, page);
  }

  /** The client's own lists are read, or its dedicated endpoint is started, meanwhile. */
  async #listWhen(set: Promise<string>, exchange: Exchange, body: Buffer, method: number): Promise<void> {
    const { generation } = exchange;
    exchange.enter(exchange.client.streaming ? Phase.streaming : Phase.sending);
    // A client that cannot be given its own lists gets the shared ones.
    const name = await set.catch(() => '');
    if (exchange.generation !== generation || exchange.phase === Phase.free || exchange.phase === Phase.done) return;
    const { catalog, config, dispatch } = this.#parts;
    if (restrictsLists(config.current) && exchange.verdict.catalogVersion !== catalog.current.version) {
      // The lists came with a new catalog, of which it is not decided yet what the client may see.
      exchange.message.flags |= MessageFlag.waited | MessageFlag.unmetered;
      dispatch.dispatch(exchange, body, body.length);
      return;
    }
    const { cursorEnd, cursorStart } = exchange.message.spans;
    const cursor = cursorStart < 0 ? null : body.subarray(cursorStart, cursorEnd);
    this.#page(exchange, method, cursor, name);
  }

  #initialize(exchange: Exchange, bytes: Uint8Array): void {
    const { write } = this.#parts;
    const start = exchange.message.spans.paramsStart;
    const end = exchange.message.spans.paramsEnd;
    const version = findMember(bytes, start, end, 'protocolVersion');
    const text = version === undefined ? undefined : stringValue(bytes, version.start, version.end);
    if (text === undefined) {
      write.refuse(exchange, 'GW_INVALID_PARAMS');
      return;
    }
    const asked = revisionNumber(text);
    const revision = asked < 0 || asked >= MODERN ? LATEST_LEGACY : asked;
    const capabilities = findMember(bytes, start, end, 'capabilities');
    const clientInfo = findMember(bytes, start, end, 'clientInfo');
    const catalog = this.#judgedCatalog(exchange);
    if (catalog === null) return;
    const subject = exchange.verdict.subject.slice();
    const session = this.#parts.sessions.create(
      revision,
      isObject(bytes, capabilities) ? bytes.slice(capabilities.start, capabilities.end) : EMPTY_OBJECT,
      isObject(bytes, clientInfo) ? withoutNulls(bytes, clientInfo) : NO_BYTES,
      subject,
      this.#parts.config.current.views[exchange.client.caller.view]?.base ?? '',
    );
    if (session === null) {
      write.refuse(exchange, 'GW_OVERLOADED');
      return;
    }
    exchange.client.session = session;
    exchange.client.revision = revision;
    const head = ['mcp-session-id', session.id];
    write.result(exchange, catalog.initializeResult(revision, this.#audience(exchange)), head);
  }

  #setLevel(exchange: Exchange, bytes: Uint8Array): void {
    const { write } = this.#parts;
    const start = exchange.message.spans.levelStart;
    const level = start < 0 ? -1 : levelNumber(bytes, start, exchange.message.spans.levelEnd);
    if (level < 0 || exchange.client.session === null) {
      write.refuse(exchange, level < 0 ? 'GW_INVALID_LEVEL' : sessionMissing(exchange));
      return;
    }
    exchange.client.session.logLevel = level;
    this.#parts.upstreams.wantLogLevel(level);
    write.result(exchange, EMPTY_RESULT);
  }
}

/** A copy of an object. Members that are `null` count as absent, and modern upstreams, which get `clientInfo`, refuse them. */
function withoutNulls(bytes: Uint8Array, { start, end }: Range): Uint8Array {
  return applyEdits(
    bytes,
    start,
    end,
    removeMembers(bytes, start, (at) => at.type === 'null'),
  );
}

function isObject(bytes: Uint8Array, value: Range | undefined): value is Range {
  return value !== undefined && bytes[value.start] === 0x7b;
}
