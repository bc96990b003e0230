/** What operators and programs have revoked, for as long as this process lives: the list, its bounds, and its spelling. */
import { createHash } from 'node:crypto';
import type { Current } from '../config/current.js';
import type { LimitsSnapshot } from '../config/snapshot.js';
import { GatewayError } from '../errors.js';
import type { RevocationMessage } from '../shared/worker-messages.js';
import type { Count, Seconds } from '../units.js';

/** What is to be revoked, or to be so no longer: exactly one of these. */
export type Revocation =
  /** A bearer token as clients send it. It is hashed at once and neither kept nor logged. */
  | { readonly token: string }
  /** The same by its SHA-256, 64 hexadecimal digits. */
  | { readonly tokenSha256: string }
  /**
   * All tokens of a subject that were issued up to now: those without `iat`, and those of `auth.tokens`, for good. With
   * several issuers the subject of each is meant.
   */
  | { readonly subject: string }
  /** A session by its id (`Mcp-Session-Id`). */
  | { readonly session: string };

/** What is revoked. */
export type RevocationKind = 'token' | 'subject' | 'session';

const KINDS = { token: 'token', tokenSha256: 'token', subject: 'subject', session: 'session' } as const;
const MAX_TEXT: Count = 16_384;
/** The largest `auth.clockToleranceSeconds`: a token may be accepted for so long after its `exp`. */
const MAX_TOLERANCE: Seconds = 60;

/** What {@link Revocations} reads of the configuration. */
export interface RevocationsConfig {
  readonly limits: Pick<LimitsSnapshot, 'maxRevoked'>;
}

/** The list as workers have it. */
export interface WorkerRevocations {
  /** A revoked token has expired: it is refused anyway, so nothing that was decided has to be decided again. */
  removeRevocation(message: RevocationMessage): void;
}

interface Entry {
  readonly kind: RevocationKind;
  readonly value: string;
  readonly at: Seconds;
  /** After this second what was revoked is not good anyway; Infinity = it has no end of its own. */
  readonly until: Seconds;
}

/**
 * See the file comment. Nothing is forgotten before it is harmless: a full list refuses instead.
 */
export class Revocations {
  readonly #config: Current<RevocationsConfig>;
  readonly #entries = new Map<string, Entry>();
  #workers: WorkerRevocations | null = null;

  constructor(config: Current<RevocationsConfig>) {
    this.#config = config;
  }

  /** Who keeps the same list in workers. Once: a pool of workers is made with this list, for workers that start. */
  attach(workers: WorkerRevocations): void {
    this.#workers = workers;
  }

  /** Tokens, subjects and sessions that are revoked. */
  get size(): Count {
    this.#purge();
    return this.#entries.size;
  }

  /** Whether a session id is revoked. */
  hasSession(id: string): boolean {
    return this.#entries.has(keyOf('session', id));
  }

  /** What workers have to know. */
  messages(): RevocationMessage[] {
    return [...this.#entries.values()].flatMap((entry) => messageOf(entry) ?? []);
  }

  /**
   * Adds to the list, or renews what is on it.
   *
   * @param until wall clock in seconds after which it is harmless; Infinity = never
   * @returns what workers have to be told; null = nothing (a session)
   * @throws GatewayError GW_REVOCATIONS_FULL
   */
  add(kind: RevocationKind, value: string, until: Seconds): RevocationMessage | null {
    const key = keyOf(kind, value);
    if (!this.#entries.has(key)) {
      this.#purge();
      if (this.#entries.size >= this.#config.current.limits.maxRevoked) throw new GatewayError('GW_REVOCATIONS_FULL');
    }
    const entry: Entry = { kind, value, at: Date.now() / 1000, until };
    this.#entries.set(key, entry);
    return messageOf(entry);
  }

  /** Takes a revocation back. @returns as {@link add}; undefined = there was none */
  remove(kind: RevocationKind, value: string): RevocationMessage | null | undefined {
    const key = keyOf(kind, value);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    const message = messageOf(entry);
    return message === null ? null : { ...message, at: null };
  }

  #purge(): void {
    const now = Date.now() / 1000;
    for (const [key, entry] of this.#entries) {
      if (entry.until >= now) continue;
      this.#entries.delete(key);
      const message = messageOf(entry);
      if (message !== null) this.#workers?.removeRevocation({ ...message, at: null });
    }
  }
}

/** A {@link Revocation} in the one form that it is kept in. */
export interface NormalizedRevocation {
  readonly kind: RevocationKind;
  /** A token's SHA-256, a subject or a session id. */
  readonly value: string;
  /** When a token expires, if it says so itself; Infinity otherwise. */
  readonly until: Seconds;
}

/** Reads what a program or an operator has sent. @throws TypeError with a sentence that quotes no value */
export function normalizeRevocation(revocation: unknown): NormalizedRevocation {
  const members = typeof revocation === 'object' && revocation !== null ? Object.entries(revocation) : [];
  const [name, value] = members[0] ?? [];
  const names = Object.keys(KINDS).map((known) => `"${known}"`);
  if (members.length !== 1 || name === undefined || !Object.hasOwn(KINDS, name)) {
    throw new TypeError(`a revocation has exactly one member: ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`);
  }
  if (typeof value !== 'string' || value === '' || value.length > MAX_TEXT) {
    throw new TypeError(`"${name}" must be a text of 1 to ${MAX_TEXT} characters`);
  }
  const kind = KINDS[name as keyof typeof KINDS];
  if (name === 'token') return { kind, value: sha256(value), until: expiryOf(value) };
  if (name === 'tokenSha256' && !/^[0-9a-fA-F]{64}$/.test(value)) {
    throw new TypeError('"tokenSha256" must be 64 hexadecimal digits');
  }
  return { kind, value: name === 'tokenSha256' ? value.toLowerCase() : value, until: Number.POSITIVE_INFINITY };
}

function keyOf(kind: RevocationKind, value: string): string {
  return `${kind} ${value}`;
}

function messageOf({ kind, value, at }: Entry): RevocationMessage | null {
  return kind === 'session' ? null : { type: 'revocation', kind, value, at };
}

/** As workers hash it: tokens are visible ASCII (RFC 6750 section 2.1). */
function sha256(token: string): string {
  return createHash('sha256').update(token, 'latin1').digest('hex');
}

/** When a JWT stops being accepted, by what it says itself: whether it is genuine does not matter here. */
function expiryOf(token: string): Seconds {
  const parts = token.split('.');
  if (parts.length !== 3) return Number.POSITIVE_INFINITY;
  try {
    const { exp } = JSON.parse(Buffer.from(parts[1]!, 'base64url').toString('utf8')) as { exp?: unknown };
    return typeof exp === 'number' ? exp + MAX_TOLERANCE : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** For the log: a subject as it is, of digests and ids only so much that they can be compared. */
export function shownForLog(kind: RevocationKind, value: string): string {
  return kind === 'subject' ? value : `${value.slice(0, 12)}...`;
}
