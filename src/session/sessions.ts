import { capabilityMask, withinRevision } from '../protocol/client-capabilities.js';
import type { Exchange, SessionLike } from '../request/exchange/index.js';
import { Rotation } from '../shared/rotation.js';
import type { Count, Milliseconds, Seconds } from '../units.js';
import { fittingCapabilities, fittingClientInfo } from './claims.js';
import type { OpenedSession, SessionSealer } from './seal.js';

/** Steps of the search for a session to evict when the table is full. */
const EVICTION_STEPS = 64;
const MAX_INTERNED = 1024;
/** The sweep checks so many entries every second, so that it never blocks the event loop. */
const SWEEP_ENTRIES = 2000;
const SWEEP_MS = 1000;
/** Sessions cleaned up in one turn of the event loop. */
const DROPPED_AT_ONCE = 200;
const NO_STREAMS: readonly Exchange[] = Object.freeze([]);

/** State of one legacy session in this process. The sealed part is restored from the id; the rest may be evicted. */
export class Session implements SessionLike {
  readonly id: string;
  readonly revision: number;
  readonly capabilities: Uint8Array;
  readonly capabilityMask: number;
  readonly clientInfo: Uint8Array;
  readonly subject: Int32Array;
  readonly issuedAt: Seconds;
  readonly viewBase: string;
  /** Names the secret that sealed its id. */
  readonly secret: string;
  /** Its secret was removed: the session is invalid, and a later turn of the event loop drops its state. */
  hasEnded = false;
  logLevel = -1;
  hasWaitingRequests = false;
  lastUsed: Milliseconds;
  /** `lastUsed` when the table last checked it; a difference means that the session was used since. */
  lastSeen: Milliseconds;
  /** The standalone streams (GET) of this session that are open, the newest last. */
  streams: readonly Exchange[] = NO_STREAMS;

  constructor(id: string, sealed: OpenedSession, now: Milliseconds) {
    this.id = id;
    this.revision = sealed.revision;
    this.capabilities = sealed.capabilities;
    this.capabilityMask = withinRevision(capabilityMask(sealed.capabilities), sealed.revision);
    this.clientInfo = sealed.clientInfo;
    this.subject = sealed.subject;
    this.issuedAt = sealed.issuedAt;
    this.viewBase = sealed.viewBase;
    this.secret = sealed.secret;
    this.lastUsed = now;
    this.lastSeen = now;
  }

  /** The stream that messages go to: the newest that is open. */
  get stream(): Exchange | null {
    return this.streams.at(-1) ?? null;
  }
}

/** Receives the sessions whose state is dropped: SessionEnds. */
export interface SessionListener {
  /** @param hasEnded the session ended or expired; otherwise it was evicted, and its id stays valid */
  sessionDropped(session: Session, hasEnded: boolean): void;
}

export interface SessionTableOptions {
  readonly sealer: SessionSealer;
  /**
   * `sessions.ttlSeconds`: a session without state in this process expires this long after `initialize`, one with state
   * after it was unused for so long.
   */
  readonly ttlSeconds: Seconds;
  /** `limits.maxSessions`: sessions with state here. Beyond it the least recently used lose their state (the log level), not their validity. */
  readonly maxSessions: Count;
  /** Revoked session ids; default none. */
  readonly revocations?: { hasSession(id: string): boolean };
  /** Monotonic milliseconds; default `performance.now`. */
  readonly now?: () => Milliseconds;
  /** Wall clock in seconds; default the system's. */
  readonly wallSeconds?: () => Seconds;
}

/**
 * Legacy sessions by their sealed id; one per gateway. Ids that are not in the table are opened with the secrets, so
 * sessions outlive the process and move between replicas; the table caches them and holds their mutable state.
 */
export class SessionTable {
  readonly #options: SessionTableOptions;
  readonly #sessions = new Map<string, Session>();
  /** Ids ended by their client, with the wall-clock second after which their seal has expired anyway. */
  readonly #revoked = new Map<string, Seconds>();
  readonly #interned = new Map<string, Uint8Array>();
  readonly #now: () => Milliseconds;
  readonly #wallSeconds: () => Seconds;
  readonly #timer: NodeJS.Timeout;
  readonly #sessionRotation = new Rotation(() => this.#sessions.values());
  readonly #revokedRotation = new Rotation(() => this.#revoked.entries());
  #listener: SessionListener | null = null;
  #sealer: SessionSealer;
  #ttlSeconds: Seconds;
  #maxSessions: Count;

  constructor(options: SessionTableOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#wallSeconds = options.wallSeconds ?? (() => Math.floor(Date.now() / 1000));
    this.#sealer = options.sealer;
    this.#ttlSeconds = options.ttlSeconds;
    this.#maxSessions = boundOf(options.maxSessions);
    this.#timer = setInterval(() => this.sweep(SWEEP_ENTRIES), SWEEP_MS);
    this.#timer.unref();
  }

  /** Sets what receives dropped sessions. Once: the listener ends streams through the stages, which are made with this table. */
  attach(listener: SessionListener): void {
    this.#listener = listener;
  }

  /** Stops sweeping. */
  close(): void {
    clearInterval(this.#timer);
  }

  /** Sessions with state in this process. */
  get size(): Count {
    return this.#sessions.size;
  }

  /** Ids of ended sessions that are remembered. */
  get revoked(): Count {
    return this.#revoked.size;
  }

  /** Follows a reload. Sessions whose secret was removed are invalid when this returns. */
  reconfigure(sealer: SessionSealer, ttlSeconds: Seconds, maxSessions: Count): void {
    this.#sealer = sealer;
    this.#ttlSeconds = ttlSeconds;
    this.#maxSessions = boundOf(maxSessions);
    this.#endUnknownSecrets();
  }

  /**
   * Creates a session. Capabilities and `clientInfo` are copied, and reduced when they are too long for an id.
   *
   * @param viewBase base path of the view that it belongs to (`ViewSnapshot.base`); default: the first one
   * @returns null when `maxSessions` sessions have a stream open
   */
  create(
    revision: number,
    capabilities: Uint8Array,
    clientInfo: Uint8Array,
    subject: Int32Array,
    viewBase = '',
  ): Session | null {
    const sealed: OpenedSession = {
      secret: this.#sealer.secret,
      revision,
      capabilities: this.#intern(fittingCapabilities(capabilities)),
      clientInfo: this.#intern(fittingClientInfo(clientInfo)),
      subject: subject.slice(0, 4),
      issuedAt: this.#wallSeconds(),
      viewBase,
    };
    if (!this.#makeRoom()) return null;
    return this.#add(this.#sealer.seal(sealed), sealed);
  }

  /** The session of an id as the client sent it; `null` = forged, expired or ended. The caller compares subject and view. */
  open(id: string): Session | null {
    const known = this.#sessions.get(id);
    if (known === undefined) return this.#unseal(id);
    return known.hasEnded ? null : known;
  }

  /** Drops the state of a session that the caller has made invalid (a revoked id). */
  drop(session: Session): void {
    if (this.#sessions.get(session.id) === session) this.#drop(session, true);
  }

  /** All become invalid at once; they are cleaned up in turns, so that many do not block the event loop. */
  #endUnknownSecrets(): void {
    const ended: Session[] = [];
    for (const session of this.#sessions.values()) {
      if (session.hasEnded || this.#sealer.hasSecret(session.secret)) continue;
      session.hasEnded = true;
      ended.push(session);
    }
    const turn = (): void => {
      for (const session of ended.splice(-DROPPED_AT_ONCE)) this.drop(session);
      if (ended.length > 0) setImmediate(turn);
    };
    if (ended.length > 0) turn();
  }

  /** Ends a session; its id is refused by this process until its seal expires. */
  end(session: SessionLike): void {
    const expires = (session as Session).issuedAt + this.#ttlSeconds;
    const known = this.#sessions.get(session.id);
    if (expires >= this.#wallSeconds()) {
      if (this.#revoked.size >= this.#maxSessions) this.#evictRevoked();
      this.#revoked.set(session.id, expires);
    }
    if (known !== undefined) this.#drop(known, true);
  }

  /** Calls `visit` for each session with state in this process. */
  forEach(visit: (session: Session) => void): void {
    for (const session of this.#sessions.values()) visit(session);
  }

  /**
   * Drops sessions that were unused for `ttlSeconds` and have no stream, and ids of ended sessions whose seal has expired.
   * A timer of the table calls it every second.
   *
   * @param entries how many of each to check; the next call continues where this one ended
   */
  sweep(entries: Count): void {
    const before = this.#now() - this.#ttlSeconds * 1000;
    const now = this.#wallSeconds();
    this.#sessionRotation.visitSome(entries, (session) => {
      if (session.lastUsed < before && session.stream === null) this.#drop(session, true);
    });
    this.#revokedRotation.visitSome(entries, ([id, expires]) => {
      if (expires < now) this.#revoked.delete(id);
    });
  }

  #unseal(id: string): Session | null {
    if (id.length === 0 || this.#revoked.has(id) || this.#options.revocations?.hasSession(id) === true) return null;
    const sealed = this.#sealer.open(id, this.#wallSeconds(), this.#ttlSeconds);
    if (sealed === null || !this.#makeRoom()) return null;
    return this.#add(id, {
      ...sealed,
      capabilities: this.#intern(sealed.capabilities),
      clientInfo: this.#intern(sealed.clientInfo),
    });
  }

  #add(id: string, sealed: OpenedSession): Session {
    const session = new Session(id, sealed, this.#now());
    this.#sessions.set(id, session);
    return session;
  }

  #drop(session: Session, hasEnded: boolean): void {
    this.#sessions.delete(session.id);
    this.#listener?.sessionDropped(session, hasEnded);
  }

  /**
   * Second-chance eviction: the map is ordered by when a session was last checked here; a session that was used since then
   * moves to the end, the first that was not is evicted.
   */
  #makeRoom(): boolean {
    if (this.#sessions.size < this.#maxSessions) return true;
    let steps = 0;
    let fallback: Session | null = null;
    for (const session of this.#sessions.values()) {
      const idle = session.stream === null;
      if (idle && session.lastUsed === session.lastSeen) {
        this.#drop(session, session.hasEnded);
        return true;
      }
      if (idle && (fallback === null || session.lastUsed < fallback.lastUsed)) fallback = session;
      session.lastSeen = session.lastUsed;
      this.#sessions.delete(session.id);
      this.#sessions.set(session.id, session);
      steps += 1;
      if (steps === EVICTION_STEPS) break;
    }
    if (fallback === null) return false;
    this.#drop(fallback, fallback.hasEnded);
    return true;
  }

  /** Evicts the oldest tenth of the ended ids, which expire first. */
  #evictRevoked(): void {
    let left = Math.ceil(this.#revoked.size / 10);
    for (const id of this.#revoked.keys()) {
      if (left === 0) return;
      this.#revoked.delete(id);
      left -= 1;
    }
  }

  /** One copy of bytes that many sessions share: capabilities and `clientInfo` of the same client program. */
  #intern(bytes: Uint8Array): Uint8Array {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    const known = this.#interned.get(key);
    if (known !== undefined) return known;
    if (this.#interned.size >= MAX_INTERNED) this.#interned.clear();
    const copy = new Uint8Array(bytes);
    this.#interned.set(key, copy);
    return copy;
  }
}

function boundOf(maxSessions: Count): Count {
  if (!Number.isInteger(maxSessions) || maxSessions < 1) throw new RangeError('maxSessions is at least 1');
  return maxSessions;
}
