/**
 * Loads the keys of one `jwksUrl` once for all workers.
 *
 * At most one load per cooldown, whether it succeeds or fails, which bounds the loads that tokens with an unknown `kid` can
 * cause (RFC 8725). Keys are used until `jwksMaxAgeMs` after they were loaded, also while the endpoint is down.
 */
import type { JwtProvider } from '../../config/snapshot/auth.js';
import { monotonic } from '../../shared/clock.js';
import { Counter, type Counters } from '../../shared/counters.js';
import type { KeyMessage } from '../../shared/ring/worker-messages.js';
import type { Milliseconds } from '../../units.js';
import { fetchKeys, type KeyLoader } from '../threads/fetch-keys.js';
import { Outage, type OutageLog } from './outage.js';

/** Keys are renewed in the background after this part of their maximum age. */
const RENEW_AT = 0.5;

/** Distributes keys to all workers: the worker pool. */
export interface KeyReceiver {
  useKeys(keys: KeyMessage): void;
}

/** Where and how often keys are loaded. */
export type JwksSettings = Pick<JwtProvider, 'jwksCooldownMs' | 'jwksMaxAgeMs'> & { readonly jwksUrl: string };

/** See the file comment. One for each URL; {@link KeySets} has them. */
export class JwksCache {
  readonly #url: string;
  #cooldownMs: Milliseconds;
  #maxAgeMs: Milliseconds;
  #jwks: string | null = null;
  #version = 1;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  readonly #counters: Counters;
  readonly #receiver: KeyReceiver;
  readonly #outage: Outage;
  readonly #loader: KeyLoader;

  /** Starts to load. @param loader default: this thread */
  constructor(
    { jwksUrl, jwksCooldownMs, jwksMaxAgeMs }: JwksSettings,
    counters: Counters,
    receiver: KeyReceiver,
    log: OutageLog,
    loader: KeyLoader = { fetchKeys },
  ) {
    this.#url = jwksUrl;
    this.#cooldownMs = jwksCooldownMs;
    this.#maxAgeMs = jwksMaxAgeMs;
    this.#counters = counters;
    this.#receiver = receiver;
    this.#outage = new Outage('the key set', jwksUrl, log);
    this.#loader = loader;
    this.#schedule();
    void this.request(this.#version);
  }

  /** Uses the times of another configuration. */
  configure({ jwksCooldownMs, jwksMaxAgeMs }: JwksSettings): void {
    this.#cooldownMs = jwksCooldownMs;
    this.#maxAgeMs = jwksMaxAgeMs;
  }

  /** The current keys, for a worker that starts. */
  current(): KeyMessage {
    return this.#message();
  }

  /** A worker with keys of that version lacks a key. All workers are sent the keys, which may be unchanged. */
  async request(version: number): Promise<void> {
    if (version === this.#version && !this.#isClosed && this.#mayLoad()) {
      this.#loading ??= this.#load().finally(() => {
        this.#loading = null;
      });
    }
    if (this.#loading !== null) await this.#loading;
    if (!this.#isClosed) this.#receiver.useKeys(this.#message());
  }

  /** Stops all timers. */
  close(): void {
    this.#isClosed = true;
    this.#schedule();
  }

  #message(): KeyMessage {
    const usable = this.#jwks !== null && monotonic() - this.#loadedAt < this.#maxAgeMs;
    return { type: 'keys', url: this.#url, version: this.#version, jwks: usable ? this.#jwks : null };
  }

  #mayLoad(): boolean {
    return this.#loading !== null || monotonic() - this.#triedAt >= this.#cooldownMs;
  }

  async #load(): Promise<void> {
    this.#triedAt = monotonic();
    this.#counters.add(Counter.jwksRefreshes);
    try {
      const jwks = await this.#loader.fetchKeys(this.#url);
      this.#loadedAt = monotonic();
      this.#outage.ended();
      if (jwks !== this.#jwks) {
        this.#jwks = jwks;
        this.#version += 1;
      }
    } catch (error) {
      this.#counters.add(Counter.jwksFailures);
      const meanwhile = this.#jwks === null ? 'tokens of its issuer cannot be checked' : 'the last keys stay in use';
      if (!this.#isClosed) this.#outage.failed(error, meanwhile);
    }
    this.#schedule();
  }

  /** Schedules the renewal of the keys, and their removal from the workers at the maximum age. */
  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#isClosed) return;
    const age = monotonic() - this.#loadedAt;
    const left = this.#maxAgeMs - age;
    const pause = age < this.#maxAgeMs * RENEW_AT ? this.#maxAgeMs * RENEW_AT - age : Math.min(left, this.#cooldownMs);
    // setTimeout takes at most 2^31 - 1 ms; a pause of 0 would spin while the cooldown forbids a load.
    this.#timer = setTimeout(
      () => {
        const version = this.#version;
        void this.request(version).then(() => {
          if (this.#jwks !== null && monotonic() - this.#loadedAt >= this.#maxAgeMs) {
            this.#jwks = null;
            this.#version += 1;
            this.#receiver.useKeys(this.#message());
          }
          this.#schedule();
        });
      },
      Math.min(0x7fffffff, Math.max(100, Number.isFinite(pause) ? pause : this.#cooldownMs)),
    );
    this.#timer.unref();
  }
}
