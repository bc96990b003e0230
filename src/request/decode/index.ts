/**
 * decode: bytes to a classified exchange. Scans the message once, determines the era (MCP 2026-07-28 or a legacy
 * revision), checks that headers and body agree and finds the session; then passes the exchange on or refuses it.
 */

import { type Decoder, Flag, Kind, Method, ScanStatus } from '../../../native/layout.js';
import type { AuthSnapshot } from '../../config/snapshot/auth.js';
import type { Current } from '../../config/snapshot/current.js';
import { authAt, type EndpointAuth } from '../../config/snapshot/endpoint-auth.js';
import type { ErrorCode } from '../../errors.js';
import { blankAbsentMembers, hasAbsentMembers } from '../../protocol/absent-members.js';
import { levelNumber, NO_LEVEL } from '../../protocol/levels.js';
import { isNameMirrored } from '../../protocol/names/mirrored-name.js';
import { Era, LATEST_LEGACY, MODERN, REVISIONS, Revision, revisionNumber } from '../../protocol/revisions.js';
import type { ListedResources } from '../../protocol/uri.js';
import { Operation } from '../../shared/ring/records.js';
import { Scheme } from '../exchange/caller.js';
import { Accepts, type Exchange, MessageFlag, type SessionLike, sessionMissing } from '../exchange/index.js';
import { sameName, sameText } from './text.js';
import { withNormalUri } from './uri.js';

/** What decode reads of the configuration. */
export interface DecodeConfig extends EndpointAuth<Pick<AuthSnapshot, 'providers'>> {
  readonly views: readonly { readonly auth: Pick<AuthSnapshot, 'providers'> | null; readonly base: string }[];
  readonly limits: { readonly maxDepth: number };
  readonly sessions: { readonly required: boolean };
}

/** Takes what decode has understood: the pipeline. */
export interface DecodedMessages {
  /** The exchange is understood; `bytes` are valid during the call. */
  decoded(exchange: Exchange, bytes: Uint8Array, length: number): void;
  /** The exchange holds a batch of a client that may send one. */
  batch(exchange: Exchange, bytes: Uint8Array, length: number): void;
}

/** What decode works with. */
export interface DecodeParts {
  readonly decoder: Decoder;
  readonly config: Current<DecodeConfig>;
  readonly sessions: {
    /** Finds a legacy session by its sealed id, or null. */
    open(id: string): SessionLike | null;
  };
  readonly catalog: ListedResources;
  readonly upstreams: {
    /** A request asks for log messages from this level on. */
    wantLogLevel(level: number): void;
  };
  readonly write: { refuse(exchange: Exchange, code: ErrorCode): void };
}

const SCAN_ERRORS: readonly ErrorCode[] = [
  'GW_INTERNAL',
  'GW_PARSE',
  'GW_TOO_DEEP',
  'GW_AMBIGUOUS',
  'GW_INVALID_REQUEST',
  'GW_INVALID_ID',
  'GW_INVALID_METHOD',
  'GW_INVALID_PARAMS',
  'GW_INVALID_REQUEST',
];

const MODERN_VERSION = REVISIONS[MODERN];
/** Of a client without a session that does not say its revision (MCP 2025-06-18, protocol version header). */
const UNSTATED_REVISION = Revision.r2025_03_26;

/** Whether a version header names the modern family; versions compare as ISO dates. */
function isModernVersion(version: string): boolean {
  return version >= MODERN_VERSION;
}

/** Methods that cannot be routed without a name. */
function needsName(method: number): boolean {
  return (
    method === Method.toolsCall ||
    method === Method.promptsGet ||
    method === Method.resourcesRead ||
    method === Method.resourcesSubscribe ||
    method === Method.resourcesUnsubscribe ||
    method === Method.complete
  );
}

/** The stage; one per front. */
export class DecodeStage {
  readonly #parts: DecodeParts;
  #next: DecodedMessages | null = null;

  constructor(parts: DecodeParts) {
    this.#parts = parts;
  }

  /** Sets where decoded messages go. Called once by the pipeline: it calls this stage and is called back. */
  attach(next: DecodedMessages): void {
    this.#next = next;
  }

  /** Takes a POST with its whole body; `bytes[0, length)` are valid during the call only. */
  decode(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { config, write } = this.#parts;
    const { caller, headerless } = exchange.client;
    // On a connection a refusal needs the id of the request, so there the policy refuses after the scan.
    if (caller.token === '' && !headerless && authAt(config.current, caller.view).providers.length > 0) {
      write.refuse(exchange, caller.scheme === Scheme.other ? 'GW_INVALID_TOKEN' : 'GW_UNAUTHENTICATED');
      return;
    }
    if (!headerless && (exchange.client.accepts & (Accepts.json | Accepts.sse)) === 0) {
      write.refuse(exchange, 'GW_NOT_ACCEPTABLE');
      return;
    }
    const message = this.#scan(exchange, bytes, length);
    if (message === null) return;
    if (exchange.message.spans.kind === Kind.batch) this.#batch(exchange, message, length);
    else this.#message(exchange, message, length, false);
  }

  /** Takes one element of an accepted batch; session and revision of `exchange` are set already. */
  element(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const message = this.#scan(exchange, bytes, length);
    if (message === null) return;
    if (exchange.message.spans.kind === Kind.batch) this.#parts.write.refuse(exchange, 'GW_INVALID_REQUEST');
    else this.#message(exchange, message, length, true);
  }

  /** Takes a GET (`Operation.stream`) or DELETE (`Operation.terminate`) on the endpoint. */
  operation(exchange: Exchange, operation: Method): void {
    const { config, write } = this.#parts;
    exchange.message.spans.clear();
    exchange.message.spans.method = operation;
    exchange.client.era = Era.legacy;
    const { caller } = exchange.client;
    if (caller.token === '' && authAt(config.current, caller.view).providers.length > 0) {
      write.refuse(exchange, caller.scheme === Scheme.other ? 'GW_INVALID_TOKEN' : 'GW_UNAUTHENTICATED');
      return;
    }
    if (isModernVersion(exchange.message.versionHeader)) {
      write.refuse(exchange, 'GW_METHOD_NOT_ALLOWED');
      return;
    }
    // Whether a connection may be opened is asked before it can have a session.
    const opens = exchange.client.link !== null && exchange.client.sessionId === '' && operation === Operation.stream;
    if (!opens && exchange.client.sessionId === '') {
      // Clients take 405 for "no such stream here"; some repeat the request for ever on 400.
      write.refuse(exchange, 'GW_METHOD_NEEDS_SESSION');
      return;
    }
    if (operation === Operation.stream && (exchange.client.accepts & (Accepts.sse | Accepts.anySse)) === 0) {
      write.refuse(exchange, 'GW_NOT_ACCEPTABLE_STREAM');
      return;
    }
    if (!opens && !this.#legacySession(exchange)) return;
    this.#next!.decoded(exchange, NO_BYTES, 0);
  }

  /**
   * Scans a message, refuses what is none.
   *
   * @returns the message to go on with, a copy where members of it count as absent; null = refused
   */
  #scan(exchange: Exchange, bytes: Uint8Array, length: number): Uint8Array | null {
    const { config, decoder, write } = this.#parts;
    const { spans } = exchange.message;
    const { maxDepth } = config.current.limits;
    let message = bytes;
    let status = decoder.scan(bytes, length, spans.words, maxDepth);
    if (hasAbsentMembers(bytes, spans, status)) {
      const copy = Buffer.from(bytes.subarray(0, length));
      blankAbsentMembers(copy, spans);
      status = decoder.scan(copy, length, spans.words, maxDepth);
      exchange.message.body = copy;
      exchange.message.bodyLength = length;
      message = copy;
    }
    if (status === ScanStatus.ok) return message;
    if (status !== ScanStatus.notJson && status !== ScanStatus.badId) keepId(exchange, message);
    write.refuse(exchange, SCAN_ERRORS[status] ?? 'GW_INVALID_REQUEST');
    return null;
  }

  #message(exchange: Exchange, bytes: Uint8Array, length: number, inBatch: boolean): void {
    const { spans } = exchange.message;
    const kind = spans.kind;
    const flags = spans.flags;
    keepId(exchange, bytes);
    if (kind === Kind.response) {
      this.#response(exchange, bytes, length, inBatch);
      return;
    }
    if (kind === Kind.notification) {
      exchange.message.flags |= MessageFlag.noAnswer;
      if ((flags & Flag.methodIsNotification) === 0) {
        this.#parts.write.refuse(exchange, 'GW_INVALID_REQUEST');
        return;
      }
    }
    keepProgressToken(exchange, bytes);
    if (spans.inputResponsesStart >= 0 || spans.requestStateStart >= 0)
      exchange.message.flags |= MessageFlag.hasInputResponses;
    const claimed = spans.claimStart >= 0;
    if (inBatch && claimed) {
      this.#parts.write.refuse(exchange, 'GW_BATCH_REFUSED');
    } else if (claimed) {
      this.#modern(exchange, bytes, length);
    } else if (isModernVersion(exchange.message.versionHeader) && !inBatch) {
      if (spans.method === Method.initialize) this.#parts.write.refuse(exchange, 'GW_HEADER_MISMATCH');
      else if (kind === Kind.notification) this.#modernNotification(exchange, bytes, length);
      else this.#parts.write.refuse(exchange, 'GW_ENVELOPE');
    } else if (kind === Kind.notification && exchange.client.link !== null && exchange.client.sessionId === '') {
      // Modern notifications may come without an envelope; a legacy client has none to send before `initialize`.
      this.#modernNotification(exchange, bytes, length);
    } else {
      this.#legacy(exchange, bytes, length, inBatch);
    }
  }

  #response(exchange: Exchange, bytes: Uint8Array, length: number, inBatch: boolean): void {
    exchange.client.era = Era.legacy;
    if (isModernVersion(exchange.message.versionHeader)) {
      this.#parts.write.refuse(exchange, 'GW_INVALID_REQUEST');
      return;
    }
    exchange.message.flags |= MessageFlag.noAnswer;
    if (!inBatch && !this.#legacySession(exchange)) return;
    exchange.message.spans.method = Operation.accept;
    this.#next!.decoded(exchange, bytes, length);
  }

  #modernNotification(exchange: Exchange, bytes: Uint8Array, length: number): void {
    exchange.client.era = Era.modern;
    exchange.client.revision = MODERN;
    this.#next!.decoded(exchange, bytes, length);
  }

  /** The validation ladder of a 2026-07-28 request, steps 5 to 9; later steps need the route. */
  #modern(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { spans } = exchange.message;
    const flags = spans.flags;
    exchange.client.era = Era.modern;
    exchange.client.revision = MODERN;
    const isRequest = spans.kind === Kind.request;
    const code = isRequest ? this.#checkModern(exchange, bytes, flags) : null;
    if (code !== null) {
      this.#parts.write.refuse(exchange, code);
      return;
    }
    if (spans.levelStart >= 0) {
      const level = levelNumber(bytes, spans.levelStart, spans.levelEnd);
      exchange.client.logLevel = level < 0 ? NO_LEVEL : level;
      this.#parts.upstreams.wantLogLevel(exchange.client.logLevel);
    }
    this.#withUri(exchange, bytes, length);
  }

  #checkModern(exchange: Exchange, bytes: Uint8Array, flags: number): ErrorCode | null {
    const { spans, versionHeader, methodHeader } = exchange.message;
    const method = spans.method;
    if ((flags & Flag.claimIsString) === 0 || (flags & Flag.capabilitiesIsObject) === 0) return 'GW_ENVELOPE';
    // The level of logging/setLevel is no part of the envelope, and the method none of this revision.
    const levelStart = method === Method.setLevel ? -1 : spans.levelStart;
    if (levelStart >= 0 && levelNumber(bytes, levelStart, spans.levelEnd) < 0) return 'GW_ENVELOPE';
    const claimStart = spans.claimStart + 1;
    const claimEnd = spans.claimEnd - 1;
    if (versionHeader !== '' && !sameText(versionHeader, bytes, claimStart, claimEnd)) return 'GW_HEADER_MISMATCH';
    if (methodHeader !== '' && !sameText(methodHeader, bytes, spans.methodStart, spans.methodEnd)) {
      return 'GW_HEADER_MISMATCH';
    }
    if (!sameText(MODERN_VERSION, bytes, claimStart, claimEnd)) {
      exchange.message.detail = Buffer.from(bytes.subarray(claimStart, Math.min(claimEnd, claimStart + 64))).toString(
        'latin1',
      );
      return 'GW_UNSUPPORTED_VERSION';
    }
    const { headerless } = exchange.client;
    if (!headerless && (versionHeader === '' || methodHeader === '')) return 'GW_HEADER_MISMATCH';
    if (isNameMirrored(method)) {
      if (!headerless && !exchange.message.hasNameHeader) return 'GW_HEADER_MISMATCH';
      if (spans.nameStart < 0) return 'GW_MISSING_NAME';
      if (headerless) return null;
      const escaped = (flags & Flag.nameEscaped) !== 0;
      if (!sameName(exchange.message.nameHeader, bytes, spans.nameStart, spans.nameEnd, escaped)) {
        return 'GW_HEADER_MISMATCH';
      }
    } else if (method === Method.complete && spans.nameStart < 0) {
      return 'GW_MISSING_NAME';
    }
    return null;
  }

  #legacy(exchange: Exchange, bytes: Uint8Array, length: number, inBatch: boolean): void {
    const { spans } = exchange.message;
    const method = spans.method;
    exchange.client.era = Era.legacy;
    if (method === Method.initialize) {
      if (inBatch) {
        this.#parts.write.refuse(exchange, 'GW_INVALID_REQUEST');
        return;
      }
      if (exchange.client.sessionId !== '' && this.#sessionOf(exchange) !== null) {
        this.#parts.write.refuse(exchange, 'GW_ALREADY_INITIALIZED');
        return;
      }
      exchange.client.revision = LATEST_LEGACY;
      this.#next!.decoded(exchange, bytes, length);
      return;
    }
    if (!inBatch && !this.#legacySession(exchange)) return;
    if (needsName(method) && (exchange.message.spans.nameStart < 0 || (spans.flags & Flag.nameNotString) !== 0)) {
      this.#parts.write.refuse(exchange, 'GW_MISSING_NAME');
      return;
    }
    this.#withUri(exchange, bytes, length);
  }

  /** Passes a message on; a URI that is not in normal form is normalized first. */
  #withUri(exchange: Exchange, bytes: Uint8Array, length: number): void {
    if ((exchange.message.spans.flags & Flag.uriNotPlain) === 0) {
      this.#next!.decoded(exchange, bytes, length);
      return;
    }
    const message = withNormalUri(exchange, bytes, length, this.#parts.catalog);
    if (message === null) {
      this.#parts.write.refuse(exchange, 'GW_INVALID_URI');
    } else if (message === 'same') {
      this.#next!.decoded(exchange, bytes, length);
    } else {
      // The spans belong to the new message: no stage may read the old one.
      const { config, decoder } = this.#parts;
      decoder.scan(message, message.length, exchange.message.spans.words, config.current.limits.maxDepth);
      exchange.message.body = message;
      exchange.message.bodyLength = message.length;
      this.#next!.decoded(exchange, message, message.length);
    }
  }

  /** Finds the session and the revision of a legacy message; refuses and returns false when it needs one and has none. */
  #legacySession(exchange: Exchange): boolean {
    const { write } = this.#parts;
    let revision: number = UNSTATED_REVISION;
    if (exchange.message.versionHeader !== '') {
      revision = revisionNumber(exchange.message.versionHeader);
      if (revision < 0 || revision >= MODERN) {
        write.refuse(exchange, 'GW_BAD_VERSION_HEADER');
        return false;
      }
    }
    if (exchange.client.sessionId === '') {
      if (!this.#mayLackSession(exchange)) {
        write.refuse(exchange, sessionMissing(exchange));
        return false;
      }
      exchange.client.revision = revision;
      exchange.client.logLevel = 0;
      return true;
    }
    const session = this.#sessionOf(exchange);
    if (session === null) {
      write.refuse(exchange, 'GW_SESSION_NOT_FOUND');
      return false;
    }
    exchange.client.session = session;
    exchange.client.revision = session.revision;
    // A legacy server sends all levels until logging/setLevel says otherwise (2025-11-25, logging).
    exchange.client.logLevel = Math.max(session.logLevel, 0);
    session.lastUsed = exchange.client.startedAt;
    return true;
  }

  /**
   * The session that a request names; null = it is unknown, as every session is at the path of another view: what its client
   * was told at `initialize` holds for one view.
   */
  #sessionOf({ client }: Exchange): SessionLike | null {
    const { config, sessions } = this.#parts;
    const session = sessions.open(client.sessionId);
    const base = config.current.views[client.caller.view]?.base ?? '';
    return session?.viewBase === base ? session : null;
  }

  /**
   * Whether a message without a session is served as from a client without capabilities: on a connection, which stands for
   * the session, and with `sessions.required: false`. A response can belong to no request without one.
   */
  #mayLackSession({ client, message }: Exchange): boolean {
    if (message.spans.kind === Kind.response) return false;
    return client.link !== null || !this.#parts.config.current.sessions.required;
  }

  #batch(exchange: Exchange, bytes: Uint8Array, length: number): void {
    if (isModernVersion(exchange.message.versionHeader)) {
      this.#parts.write.refuse(exchange, 'GW_BATCH_REFUSED');
      return;
    }
    if (!this.#legacySession(exchange)) return;
    // Batching exists in 2025-03-26 only; it was removed again in 2025-06-18.
    if (exchange.client.revision !== Revision.r2025_03_26) this.#parts.write.refuse(exchange, 'GW_BATCH_REFUSED');
    else this.#next!.batch(exchange, bytes, length);
  }
}

const NO_BYTES = new Uint8Array(0);

function keepId(exchange: Exchange, bytes: Uint8Array): void {
  const start = exchange.message.spans.idStart;
  if (start < 0) return;
  const count = exchange.message.spans.idEnd - start;
  if (count > exchange.client.id.length) exchange.client.id = Buffer.allocUnsafe(count);
  const { id } = exchange.client;
  for (let index = 0; index < count; index += 1) id[index] = bytes[start + index]!;
  exchange.client.idLength = count;
}

function keepProgressToken(exchange: Exchange, bytes: Uint8Array): void {
  const start = exchange.message.spans.progressTokenStart;
  if (start < 0) return;
  const count = exchange.message.spans.progressTokenEnd - start;
  if (count > exchange.client.progress.length) exchange.client.progress = Buffer.allocUnsafe(count);
  const { progress } = exchange.client;
  for (let index = 0; index < count; index += 1) progress[index] = bytes[start + index]!;
  exchange.client.progressLength = count;
}
