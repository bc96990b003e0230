import { capabilityMask, withinRevision } from '../protocol/client-capabilities.js';
import type { Exchange, SessionLike } from '../request/exchange/index.js';
import type { Count, Milliseconds, Seconds } from '../units.js';
import { fittingCapabilities, fittingClientInfo } from './claims.js';
import type { OpenedSession, SessionSealer } from './seal.js';

/** Steps of the search for a session to drop when the table is full. */
const EVICTION_STEPS = 64;
const MAX_INTERNED = 1024;
/** The sweep looks at so many entries every second, so that it never holds the loop. */
const SWEEP_ENTRIES = 2000;
const SWEEP_MS = 1000;
/** Sessions taken apart in one turn of the loop. */
const DROPPED_AT_ONCE = 200;

/** State of one legacy session in this process. All of it but the sealed part may be lost and is rebuilt on demand. */
export class Session implements SessionLike {
  readonly id: string;
  readonly revision: number;
  readonly capabilities: Uint8Array;
  readonly capabilityMask: number;
  readonly clientInfo: Uint8Array;
  readonly subject: Int32Array;
  readonly issuedAt: Seconds;
  /** Names the secret that its id is sealed with. */
  readonly secret: string;
  /** Its secret was dropped: the session is over, and its state goes in a turn that has time for it. */
  hasEnded = false;
  logLevel = -1;
  lastUsed: Milliseconds;
  /** `lastUsed` when the table last looked; a difference means the session was used since. */
  lastSeen: Milliseconds;
  /** The standalone stream (GET) of this session, if one is open. */
  stream: Exchange | null = null;

  constructor(id: string, sealed: OpenedSession, now: Milliseconds) {
    this.id = id;
    this.revision = sealed.revision;
    this.capabilities = sealed.capabilities;
    this.capabilityMask = withinRevision(capabilityMask(sealed.capabilities), sealed.revision);
    this.clientInfo = sealed.clientInfo;
    this.subject = sealed.subject;
    this.issuedAt = sealed.issuedAt;
    this.secret = sealed.secret;
    this.lastUsed = now;
    this.lastSeen = now;
  }
}

/** Told when the state of a session is dropped. */
export interface SessionListener {
  /** @param isOver the session ended or expired; otherwise it only made room, and its id is still good */
  sessionDropped(session: Session, isOver: boolean): void;
}

export interface SessionTableOptions {
  readonly sealer: SessionSealer;
  /** `sessions.ttlSeconds`: a session that this process does not know is refused this long after `initialize`; one it knows ends when it was unused for so long. */
  readonly ttlSeconds: Seconds;
  /** `limits.maxSessions`: sessions with state here; the least used lose theirs (log level), not their validity. */
  readonly maxSessions: Count;
  /** What operators have revoked; default nothing. */
  readonly revocations?: { hasSession(id: string): boolean };
  /** Monotonic milliseconds; default `performance.now`. */
  readonly now?: () => Milliseconds;
  /** Wall clock in seconds; default the system's. */
  readonly wallSeconds?: () => Seconds;
}

/**
 * Legacy sessions by their sealed id. An id that is not here is opened with the secrets, so sessions outlive the
 * process and move between replicas; the table only saves the cryptography and holds what changes.
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
  #sweptSessions: MapIterator<Session>;
  #sweptRevoked: MapIterator<[string, Seconds]>;
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
    this.#sweptSessions = this.#sessions.values();
    this.#sweptRevoked = this.#revoked.entries();
    this.#timer = setInterval(() => this.sweep(SWEEP_ENTRIES), SWEEP_MS);
    this.#timer.unref();
  }

  /** Who is told of dropped sessions. Once, after both were made: who is told ends streams with the stages, which use this table. */
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

  /** Ids ended by their clients that are remembered. */
  get revoked(): Count {
    return this.#revoked.size;
  }

  /** Puts another configuration into force. Sessions whose secret it drops are over when this returns. */
  reconfigure(sealer: SessionSealer, ttlSeconds: Seconds, maxSessions: Count): void {
    this.#sealer = sealer;
    this.#ttlSeconds = ttlSeconds;
    this.#maxSessions = boundOf(maxSessions);
    this.#endUnknownSecrets();
  }

  /**
   * Makes a session. Capabilities and `clientInfo` are copied, and reduced when they are too long for an id.
   *
   * @returns null when `maxSessions` sessions have a stream open
   */
  create(revision: number, capabilities: Uint8Array, clientInfo: Uint8Array, subject: Int32Array): Session | null {
    const sealed: OpenedSession = {
      secret: this.#sealer.secret,
      revision,
      capabilities: this.#intern(fittingCapabilities(capabilities)),
      clientInfo: this.#intern(fittingClientInfo(clientInfo)),
      subject: subject.slice(0, 4),
      issuedAt: this.#wallSeconds(),
    };
    if (!this.#makeRoom()) return null;
    return this.#add(this.#sealer.seal(sealed), sealed);
  }

  /** The session behind an id as the client sent it; `null` = not ours, expired or ended. The caller compares the subject. */
  open(id: string): Session | null {
    const known = this.#sessions.get(id);
    if (known === undefined) return this.#unseal(id);
    return known.hasEnded ? null : known;
  }

  /** Drops the state of a session that is not valid any more, for a reason that the caller remembers. */
  drop(session: Session): void {
    if (this.#sessions.get(session.id) === session) this.#drop(session, true);
  }

  /** All at once are refused; they are taken apart in turns, so that many do not hold the loop. */
  #endUnknownSecrets(): void {
    const over: Session[] = [];
    for (const session of this.#sessions.values()) {
      if (session.hasEnded || this.#sealer.hasSecret(session.secret)) continue;
      session.hasEnded = true;
      over.push(session);
    }
    const turn = (): void => {
      for (const session of over.splice(-DROPPED_AT_ONCE)) this.drop(session);
      if (over.length > 0) setImmediate(turn);
    };
    if (over.length > 0) turn();
  }

  /** Ends a session for good, as long as this process lives or the seal holds. */
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
   * Drops sessions that were unused for `ttlSeconds` and have no stream. The table does this by itself, in turns.
   *
   * @param entries how many to look at in this turn; the next one goes on where this one ended
   */
  sweep(entries: Count): void {
    const before = this.#now() - this.#ttlSeconds * 1000;
    const now = this.#wallSeconds();
    for (let looked = 0; looked < entries; looked += 1) {
      const next = this.#sweptSessions.next();
      if (next.done === true) {
        this.#sweptSessions = this.#sessions.values();
        break;
      }
      if (next.value.lastUsed < before && next.value.stream === null) this.#drop(next.value, true);
    }
    for (let looked = 0; looked < entries; looked += 1) {
      const next = this.#sweptRevoked.next();
      if (next.done === true) {
        this.#sweptRevoked = this.#revoked.entries();
        break;
      }
      if (next.value[1] < now) this.#revoked.delete(next.value[0]);
    }
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

  #drop(session: Session, isOver: boolean): void {
    this.#sessions.delete(session.id);
    this.#listener?.sessionDropped(session, isOver);
  }

  /**
   * Second chance: the map is ordered by when a session was last looked at here; one that was used since goes to the
   * end, the first one that was not is dropped.
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

  /** Makes room among the remembered ends: the oldest tenth, which is the nearest to its expiry. */
  #evictRevoked(): void {
    let left = Math.ceil(this.#revoked.size / 10);
    for (const id of this.#revoked.keys()) {
      if (left === 0) return;
      this.#revoked.delete(id);
      left -= 1;
    }
  }

  /** One copy of bytes that many sessions have in common: clients come in few kinds. */
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
