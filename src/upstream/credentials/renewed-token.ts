import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { CredentialError } from '../core/credentials.js';
import { type IssuedToken, TokenError } from './token-endpoint.js';

/** Longest time before its end that a token is renewed. */
const EARLY_MS: Milliseconds = 60_000;
/** The part of its lifetime that is left when a token is renewed, where that is less. */
const EARLY_PART = 0.2;
/** The refusal of a token by the upstream that comes so long after the one before is not taken for another of a series. */
const SERIES_MS: Milliseconds = 60_000;

/** Where a token comes from. */
export interface TokenSource {
  /** @throws TokenError */
  request(): Promise<IssuedToken>;
}

/** What became of the requests for one token, or for several of one kind. */
export interface TokenObserver {
  issued(): void;
  /** @param keepsToken the one before is still valid, and used */
  failed(error: TokenError, keepsToken: boolean): void;
  /** The upstream refused a token before its end. */
  tokenRefused(): void;
}

/**
 * One token that is requested when it is first needed and renewed before it ends, with one request at a time. A request that
 * fails leaves the token as it is until its end, and is repeated after a pause that grows.
 */
export class RenewedToken {
  readonly #source: TokenSource;
  readonly #observer: TokenObserver;
  readonly #backOff = new BackOff(500, 30_000);
  readonly #refusalBackOff = new BackOff(1_000, 60_000);
  #headers: readonly string[] | null = null;
  #renewAt: Milliseconds = 0;
  #endsAt: Milliseconds = 0;
  #request: Promise<void> | null = null;
  /** The last request failed for this reason; null = it did not. */
  #error: TokenError | null = null;
  /** No request before. */
  #retryAt: Milliseconds = 0;
  #lastRefusal: Milliseconds = Number.NEGATIVE_INFINITY;
  /** A refusal before does not lead to another token. */
  #keepUntil: Milliseconds = 0;

  constructor(source: TokenSource, observer: TokenObserver) {
    this.#source = source;
    this.#observer = observer;
  }

  /** `Authorization` with the token; the same array until it is renewed. Null = it has to be fetched. @param now `performance.now()` */
  current(now: Milliseconds): readonly string[] | null {
    if (now < this.#renewAt) return this.#headers;
    if (this.#headers === null) return null;
    if (now >= this.#endsAt) {
      this.#headers = null;
      return null;
    }
    if (this.#request === null && now >= this.#retryAt) this.#start().catch(() => {});
    return this.#headers;
  }

  /** Fetches the token that `current` does not have. @throws CredentialError */
  async fetch(): Promise<void> {
    if (this.#request === null && this.#error !== null && performance.now() < this.#retryAt) {
      throw credentialError(this.#error);
    }
    await (this.#request ?? this.#start());
  }

  /** The upstream does not accept the token in these headers; see `Credentials.refused`. Other tokens of a series that is refused are requested at growing intervals. */
  refused(headers: readonly string[]): boolean {
    if (headers !== this.#headers) return true;
    const now = performance.now();
    this.#observer.tokenRefused();
    if (now - this.#lastRefusal > SERIES_MS) this.#refusalBackOff.reset();
    this.#lastRefusal = now;
    if (now < this.#keepUntil) return false;
    this.#keepUntil = now + this.#refusalBackOff.next();
    this.#headers = null;
    this.#renewAt = 0;
    return true;
  }

  /** The source has another token: it is requested when one is needed next, whatever failed before. */
  reset(): void {
    this.#backOff.reset();
    this.#refusalBackOff.reset();
    this.#error = null;
    this.#retryAt = 0;
    this.#keepUntil = 0;
    this.#headers = null;
    this.#renewAt = 0;
  }

  /** Time until the token ends; 0 = there is none, `Infinity` = it has no known end. */
  get leftMs(): Milliseconds {
    return this.#headers === null ? 0 : Math.max(0, this.#endsAt - performance.now());
  }

  #start(): Promise<void> {
    const request = this.#renew().finally(() => {
      this.#request = null;
    });
    this.#request = request;
    return request;
  }

  async #renew(): Promise<void> {
    // The lifetime counts from before the request: the token is given up too early rather than too late.
    const startedAt = performance.now();
    try {
      const { accessToken, lifetimeMs } = await this.#source.request();
      this.#error = null;
      this.#backOff.reset();
      this.#headers = Object.freeze(['authorization', `Bearer ${accessToken}`]);
      owners.set(this.#headers, this);
      this.#endsAt = lifetimeMs === 0 ? Number.POSITIVE_INFINITY : startedAt + lifetimeMs;
      this.#renewAt = this.#endsAt - Math.min(EARLY_MS, lifetimeMs * EARLY_PART);
      this.#observer.issued();
    } catch (error) {
      const reason = error instanceof TokenError ? error : new TokenError('The token could not be requested.');
      this.#error = reason;
      this.#retryAt = performance.now() + this.#backOff.next();
      this.#observer.failed(reason, this.#headers !== null && performance.now() < this.#endsAt);
      throw credentialError(reason);
    }
  }
}

function credentialError({ code, message }: TokenError): CredentialError {
  return new CredentialError(code, message);
}

const owners = new WeakMap<readonly string[], RenewedToken>();

/** The token in headers that {@link RenewedToken.current} gave; undefined = they come from elsewhere. */
export function tokenIn(headers: readonly string[]): RenewedToken | undefined {
  return owners.get(headers);
}
