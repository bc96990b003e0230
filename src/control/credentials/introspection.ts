/**
 * Asks the introspection endpoint of one provider about tokens, for all workers: one request in flight for each token, answers
 * kept within bounds. While the endpoint is down nobody gets in who was not in already, and nobody stays in past the `exp`
 * of the token; an answer without `exp` ends with `cacheMs`.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { IntrospectionProvider } from '../../config/snapshot/auth.js';
import { Counter, type Counters } from '../../shared/counters.js';
import type { InquiryAnswer } from '../../shared/ring/worker-messages.js';
import type { Milliseconds, Seconds } from '../../units.js';
import { type Introspector, introspect } from './introspection-request.js';
import { Outage, type OutageLog } from './outage.js';

/** After a failure no request is made for this time, so that an endpoint that is down is not flooded. */
const PAUSE_MS: Milliseconds = 1_000;
/** For this time an answer that could not be renewed counts further. */
const STALE_SECONDS: Seconds = 5;

type Active = Extract<InquiryAnswer, { outcome: 'active' }>;

interface Kept {
  readonly claims: Active['claims'];
  /** Wall clock up to which the answer counts without another request. */
  readonly freshUntil: Seconds;
  /** Wall clock up to which it counts while the endpoint is down. */
  readonly expiresAt: Seconds;
  /** Whether the token itself ends then. */
  readonly hasExpiry: boolean;
}

const INACTIVE: InquiryAnswer = Object.freeze({ outcome: 'inactive' });
const UNAVAILABLE: InquiryAnswer = Object.freeze({ outcome: 'unavailable' });

/** See the file comment. One for each provider of type `oauth2`; {@link CredentialChecks} has them. */
export class Introspection {
  readonly #settings: IntrospectionProvider;
  readonly #introspector: Introspector;
  readonly #counters: Counters;
  readonly #outage: Outage;
  /** By SHA-256 of the token. */
  readonly #active: LRUCache<string, Kept>;
  /** Apart from the others, so that a client with many wrong tokens pushes no good one out. */
  readonly #inactive: LRUCache<string, true>;
  readonly #pending = new Map<string, Promise<InquiryAnswer>>();
  #failedAt: Milliseconds = Number.NEGATIVE_INFINITY;

  /** @param introspector default: on this thread, which only waits for the answer */
  constructor(
    settings: IntrospectionProvider,
    counters: Counters,
    log: OutageLog,
    introspector: Introspector = { introspect },
  ) {
    this.#settings = settings;
    this.#introspector = introspector;
    this.#counters = counters;
    this.#outage = new Outage('the introspection endpoint', settings.introspectionUrl, log);
    this.#active = new LRUCache({ max: settings.maxTokens });
    this.#inactive = new LRUCache({ max: settings.maxTokens, ttl: settings.negativeCacheMs });
  }

  /** Whether a token is active. Never rejects. */
  ask(token: string): Promise<InquiryAnswer> {
    const digest = createHash('sha256').update(token).digest('base64');
    const now = Date.now() / 1_000;
    const kept = this.#active.get(digest);
    if (kept !== undefined && now < kept.freshUntil) return Promise.resolve(answerOf(kept));
    const isOver = kept?.hasExpiry === true && kept.expiresAt <= now;
    if (isOver || this.#inactive.get(digest) === true) return Promise.resolve(INACTIVE);
    const pending = this.#pending.get(digest);
    if (pending !== undefined) return pending;
    const isPaused = performance.now() - this.#failedAt < PAUSE_MS;
    // Half of the room is for tokens that were active: guesses keep nobody from being asked about again.
    const room = kept === undefined ? this.#settings.maxConcurrent : 2 * this.#settings.maxConcurrent;
    if (isPaused || this.#pending.size >= room) {
      return Promise.resolve(this.#withoutEndpoint(digest));
    }
    const asked = this.#request(token, digest).finally(() => this.#pending.delete(digest));
    this.#pending.set(digest, asked);
    return asked;
  }

  async #request(token: string, digest: string): Promise<InquiryAnswer> {
    const { introspectionUrl, clientId, clientSecret, timeoutMs, cacheMs } = this.#settings;
    this.#counters.add(Counter.introspections);
    let claims: Record<string, unknown>;
    try {
      claims = await this.#introspector.introspect({ introspectionUrl, clientId, clientSecret, timeoutMs, token });
    } catch (error) {
      this.#failed(error);
      return this.#withoutEndpoint(digest);
    }
    this.#outage.ended();
    const now = Date.now() / 1_000;
    const { active, exp } = claims;
    // Whole seconds, as verdicts have them. An `exp` that is no number is one that cannot be kept (RFC 7662 section 2.2).
    const hasExpiry = exp !== undefined;
    const end = typeof exp === 'number' && Number.isFinite(exp) ? Math.floor(exp) : 0;
    if (active !== true || (hasExpiry && !(end > now))) {
      this.#active.delete(digest);
      this.#inactive.set(digest, true);
      return INACTIVE;
    }
    const counts = Math.floor(now + cacheMs / 1_000);
    const freshUntil = hasExpiry ? Math.min(counts, end) : counts;
    const kept: Kept = { claims, freshUntil, expiresAt: hasExpiry ? end : freshUntil, hasExpiry };
    this.#active.set(digest, kept);
    return answerOf(kept);
  }

  /** Tokens that were active stay so until they expire; of others nothing is known. */
  #withoutEndpoint(digest: string): InquiryAnswer {
    const now = Date.now() / 1_000;
    const kept = this.#active.get(digest);
    if (kept === undefined || kept.expiresAt <= now) return UNAVAILABLE;
    return answerOf({ ...kept, freshUntil: Math.min(kept.expiresAt, Math.floor(now) + STALE_SECONDS) });
  }

  #failed(error: unknown): void {
    this.#counters.add(Counter.introspectionFailures);
    this.#failedAt = performance.now();
    this.#outage.failed(error, 'only clients that were in already are served');
  }
}

function answerOf({ claims, freshUntil }: Kept): InquiryAnswer {
  return { outcome: 'active', claims, until: freshUntil };
}
