/** The revocations of operators and programs, kept for the lifetime of this process. */
import { createHash } from 'node:crypto';
import type { Current } from '../../config/snapshot/current.js';
import type { LimitsSnapshot } from '../../config/snapshot/index.js';
import { GatewayError } from '../../errors.js';
import type { RevocationMessage } from '../../shared/ring/worker-messages.js';
import type { Count, Seconds } from '../../units.js';

/** What to revoke or to unrevoke: exactly one of these. */
export type Revocation =
  /** A bearer token as clients send it. It is hashed at once and neither kept nor logged. */
  | { readonly token: string }
  /** A token by its SHA-256, 64 hexadecimal digits. */
  | { readonly tokenSha256: string }
  /**
   * All tokens of a subject that were issued until now; those without `iat`, and those of `auth.tokens`, permanently. With
   * several issuers, the subject of each issuer.
   */
  | { readonly subject: string }
  /** A session by its id (`Mcp-Session-Id`). */
  | { readonly session: string };

/** The kinds of revocations. */
export type RevocationKind = 'token' | 'subject' | 'session';

const KINDS = { token: 'token', tokenSha256: 'token', subject: 'subject', session: 'session' } as const;
const MAX_TEXT: Count = 16_384;
/** The largest `auth.clockToleranceSeconds`, for which a token may be accepted after its `exp`. */
const MAX_TOLERANCE: Seconds = 60;

/** What {@link Revocations} reads of the configuration. */
export interface RevocationsConfig {
  readonly limits: Pick<LimitsSnapshot, 'maxRevoked'>;
}

/** The copies of the list in workers: WorkerPool. */
export interface WorkerRevocations {
  /** A revoked token has expired and is refused without the revocation. Verdicts stay valid. */
  removeRevocation(message: RevocationMessage): void;
}

interface Entry {
  readonly kind: RevocationKind;
  readonly value: string;
  readonly at: Seconds;
  /** The revoked token or session expires at this second; Infinity = never. */
  readonly until: Seconds;
}

/**
 * See the file comment. Entries are removed only after what they revoke has expired; a full list refuses new entries. One
 * per gateway.
 */
export class Revocations {
  readonly #config: Current<RevocationsConfig>;
  readonly #entries = new Map<string, Entry>();
  #workers: WorkerRevocations | null = null;

  constructor(config: Current<RevocationsConfig>) {
    this.#config = config;
  }

  /** Sets the workers that keep copies. Once: the worker pool is made with this list, for workers that start. */
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

  /** The list for a worker that starts. */
  messages(): RevocationMessage[] {
    return [...this.#entries.values()].flatMap((entry) => messageOf(entry) ?? []);
  }

  /**
   * Adds or renews a revocation.
   *
   * @param until wall clock in seconds at which what is revoked expires; Infinity = never
   * @returns the message for workers; null for a session, which workers do not check
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

  /** Removes a revocation. @returns as {@link add}; undefined = there was none */
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

/** A {@link Revocation} in the form in which it is kept. */
export interface NormalizedRevocation {
  readonly kind: RevocationKind;
  /** A token's SHA-256, a subject or a session id. */
  readonly value: string;
  /** The expiry of a JWT by its `exp`; Infinity otherwise. */
  readonly until: Seconds;
}

/** Validates the input of a program or an operator. @throws TypeError with a sentence that quotes no value */
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

/** The digest that workers compare; tokens are visible ASCII (RFC 6750 section 2.1). */
function sha256(token: string): string {
  return createHash('sha256').update(token, 'latin1').digest('hex');
}

/** When a JWT expires by its own `exp`; its signature is irrelevant here. */
function expiryOf(token: string): Seconds {
  const parts = token.split('.');
  const [, payload] = parts;
  if (payload === undefined || parts.length !== 3) return Number.POSITIVE_INFINITY;
  try {
    const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { exp?: unknown };
    return typeof exp === 'number' ? exp + MAX_TOLERANCE : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** A revoked value for the log: subjects as they are, a prefix of digests and session ids. */
export function shownForLog(kind: RevocationKind, value: string): string {
  return kind === 'subject' ? value : `${value.slice(0, 12)}...`;
}
