/**
 * Loads the keys of `auth.jwksUrl` once for all workers.
 *
 * At most one load per cooldown, whether it succeeds or fails, which bounds the loads that tokens with an unknown `kid` can
 * cause (RFC 8725). Keys are used until `jwksMaxAgeMs` after they were loaded, also while the endpoint is down.
 */
import type { AuthSnapshot } from '../config/snapshot.js';
import { monotonic } from '../shared/clock.js';
import { Counter, type Counters } from '../shared/counters.js';
import type { KeyMessage } from '../shared/worker-messages.js';
import { fetchKeys, type KeyLoader } from './threads/fetch-keys.js';

/** Keys are renewed in the background after this part of their maximum age. */
const RENEW_AT = 0.5;

type JwtAuth = Extract<AuthSnapshot, { type: 'jwt' }>;

/** Distributes keys to all workers: the worker pool. */
export interface KeyReceiver {
  useKeys(keys: KeyMessage): void;
}

/** See the file comment. One per process. */
export class JwksCache {
  #url: string | null = null;
  #cooldownMs = 0;
  #maxAgeMs = 0;
  #jwks: string | null = null;
  #version = 0;
  #loadedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  readonly #counters: Counters;
  readonly #receiver: KeyReceiver;
  readonly #loader: KeyLoader;

  /** @param loader default: this thread */
  constructor(counters: Counters, receiver: KeyReceiver, loader: KeyLoader = { fetchKeys }) {
    this.#counters = counters;
    this.#receiver = receiver;
    this.#loader = loader;
  }

  /** Uses the settings of a configuration; keys of another URL are dropped. */
  configure(auth: AuthSnapshot): void {
    const jwt: JwtAuth | null = auth.type === 'jwt' ? auth : null;
    this.#cooldownMs = jwt?.jwksCooldownMs ?? 0;
    this.#maxAgeMs = jwt?.jwksMaxAgeMs ?? 0;
    const url = jwt?.jwksUrl ?? null;
    if (url === this.#url) return;
    this.#url = url;
    this.#jwks = null;
    this.#loadedAt = Number.NEGATIVE_INFINITY;
    this.#triedAt = Number.NEGATIVE_INFINITY;
    this.#loading = null;
    this.#version += 1;
    this.#schedule();
    if (url !== null) void this.request(this.#version);
  }

  /** The current keys, for a worker that starts; `null` without `auth.jwksUrl`. */
  current(): KeyMessage | null {
    return this.#url === null ? null : this.#message();
  }

  /** A worker with keys of that version lacks a key. All workers are sent the keys, which may be unchanged. */
  async request(version: number): Promise<void> {
    if (version === this.#version && this.#url !== null && this.#mayLoad()) {
      this.#loading ??= this.#load(this.#url).finally(() => {
        this.#loading = null;
      });
    }
    if (this.#loading !== null) await this.#loading;
    this.#receiver.useKeys(this.#message());
  }

  /** Stops all timers. */
  close(): void {
    this.#url = null;
    this.#schedule();
  }

  #message(): KeyMessage {
    const usable = this.#jwks !== null && monotonic() - this.#loadedAt < this.#maxAgeMs;
    return { type: 'keys', version: this.#version, jwks: usable ? this.#jwks : null };
  }

  #mayLoad(): boolean {
    return this.#loading !== null || monotonic() - this.#triedAt >= this.#cooldownMs;
  }

  async #load(url: string): Promise<void> {
    this.#triedAt = monotonic();
    this.#counters.add(Counter.jwksRefreshes);
    try {
      const jwks = await this.#loader.fetchKeys(url);
      if (url !== this.#url) return;
      this.#loadedAt = monotonic();
      if (jwks !== this.#jwks) {
        this.#jwks = jwks;
        this.#version += 1;
      }
    } catch {
      this.#counters.add(Counter.jwksFailures);
    }
    if (url === this.#url) this.#schedule();
  }

  /** Schedules the renewal of the keys, and their removal from the workers at the maximum age. */
  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#url === null) return;
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
