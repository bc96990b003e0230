/**
 * Ends long-lived streams and connections whose token is no longer accepted. A right ends when the token expires, and when
 * workers refuse the token after a revocation, a change of keys or a reload. A reload may also require a scope for a
 * subscribed resource that the token does not have.
 */

import type { AuthSnapshot } from '../config/snapshot/auth.js';
import type { Current } from '../config/snapshot/current.js';
import { authAt, type EndpointAuth } from '../config/snapshot/endpoint-auth.js';
import { ERROR_CODES, type ErrorCode } from '../errors.js';
import { judgedUri } from '../protocol/uri.js';
import type { Answered, Policy, Question } from '../request/dispatch/questions.js';
import type { Caller } from '../request/exchange/caller.js';
import { type ClientLink, Exchange } from '../request/exchange/index.js';
import type { Epochs } from '../shared/epochs.js';
import type { FaultLog } from '../shared/fault-log.js';
import { Verdict } from '../shared/ring/records.js';
import type { VerdictRecord } from '../shared/ring/verdict-record.js';
import { Scheme } from '../shared/scheme.js';
import type { Count, Milliseconds, Seconds } from '../units.js';

/** A stream by its exchange, or a connection. */
export type RightHolder = Exchange | ClientLink;

/** Acts on rights that have ended: SessionEnds. */
export interface RightsListener {
  /** Ends the holder, which is released already. */
  rightEnded(holder: RightHolder, code: ErrorCode): void;
  /** Ends the holder's subscription to a resource. */
  resourceForbidden(holder: RightHolder, uri: string, code: ErrorCode): void;
}

/** What {@link Rights} works with. */
export interface RightsParts {
  readonly config: Current<EndpointAuth<Pick<AuthSnapshot, 'providers'>>>;
  readonly epochs: Pick<Epochs, 'snapshot' | 'revocation'>;
  readonly policy: Policy;
  readonly subscriptions: {
    /** URIs of the resources that a stream gets updates of, as its client spells them. */
    subscribedUris(exchange: Exchange): readonly string[];
  };
  readonly listener: RightsListener;
  readonly log: FaultLog;
}

interface Right {
  readonly holder: RightHolder;
  readonly caller: Caller;
  readonly subject: Int32Array;
  expiresAt: Seconds;
  /** Policy is asked whether it goes on beyond {@link expiresAt}. */
  isRenewing: boolean;
}

/** Between two checks of the clock and the versions; a right outlives its token by at most a second. */
const TICK_MS: Milliseconds = 250;
/** How long policy may take to say whether a right goes on. */
const RENEW_SECONDS: Seconds = 5;
/** Pause before everything is checked again when policy was too busy to decide. */
const RETRY_MS: Milliseconds = 1_000;
/** Pending questions to policy, so that requests of clients are decided between them. */
const MAX_PENDING: Count = 128;
/** The last second that a verdict can name means "never" (workers/authenticate/principal.ts). */
const NEVER: Seconds = 0x7fffffff;

/** Errors that do not concern the token: the gateway is busy. */
const UNDECIDED: ReadonlySet<ErrorCode> = new Set(['GW_OVERLOADED', 'GW_INTERNAL']);
/** Errors that end a subscription; others concern the state of the server. */
const RESOURCE_REFUSALS: ReadonlySet<ErrorCode> = new Set(['GW_INSUFFICIENT_SCOPE', 'GW_UNKNOWN_RESOURCE']);

/** See the file comment. One timer for all holders, which runs while there are any; one per front. */
export class Rights {
  readonly #parts: RightsParts;
  readonly #held = new Map<RightHolder, Right>();
  /** By the second in which they expire. */
  readonly #expiring = new Map<Seconds, Set<Right>>();
  #timer: NodeJS.Timeout | null = null;
  #snapshotVersion: number;
  #revocation: number;
  /** Questions of the current round that were not asked yet; null = no round. */
  #round: Iterator<() => boolean> | null = null;
  /** The question for which no exchange was free. */
  #postponed: (() => boolean) | null = null;
  #pending: Count = 0;
  #isAsking = false;
  /** When the next round starts, even if the versions are unchanged. */
  #recheckAt: Milliseconds = Number.POSITIVE_INFINITY;

  constructor(parts: RightsParts) {
    this.#parts = parts;
    this.#snapshotVersion = parts.epochs.snapshot();
    this.#revocation = parts.epochs.revocation();
  }

  /** Streams and connections that are watched. */
  get size(): Count {
    return this.#held.size;
  }

  /** Watches a holder until it is released. @param verdict that admitted the holder; valid during the call */
  hold(holder: RightHolder, caller: Caller, verdict: VerdictRecord): void {
    const subject = verdict.subject.slice();
    const right: Right = { holder, caller, subject, expiresAt: NEVER, isRenewing: false };
    this.#held.set(holder, right);
    this.#expire(right, verdict.rememberUntil);
    // The token may have been revoked between the decision and the connection.
    if (this.#isOutdated(verdict)) this.recheck();
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
    // The versions were not read while there were no holders.
    this.#readVersions();
  }

  /** Whether a verdict was made under an older snapshot or before a revocation. */
  #isOutdated(verdict: VerdictRecord): boolean {
    const { epochs } = this.#parts;
    return verdict.snapshotVersion !== epochs.snapshot() || verdict.epoch !== epochs.revocation();
  }

  /** The holder has ended. */
  release(holder: RightHolder): void {
    const right = this.#held.get(holder);
    if (right === undefined) return;
    this.#held.delete(holder);
    this.#unexpire(right);
    if (this.#held.size === 0) this.close();
  }

  /** Starts a new round at the next tick: a reload has changed which resources exist, and for which scopes. */
  recheck(): void {
    this.#recheckAt = 0;
  }

  /** Stops the timer. */
  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#round = null;
    this.#postponed = null;
  }

  #expire(right: Right, expiresAt: Seconds): void {
    this.#unexpire(right);
    right.expiresAt = expiresAt;
    if (expiresAt === NEVER) return;
    const others = this.#expiring.get(expiresAt);
    if (others === undefined) this.#expiring.set(expiresAt, new Set([right]));
    else others.add(right);
  }

  #unexpire(right: Right): void {
    const others = this.#expiring.get(right.expiresAt);
    if (others === undefined) return;
    others.delete(right);
    if (others.size === 0) this.#expiring.delete(right.expiresAt);
  }

  #tick(): void {
    const seconds = Date.now() / 1000;
    for (const [second, rights] of this.#expiring) {
      if (second > seconds) continue;
      for (const right of [...rights]) this.#expired(right, seconds - second);
    }
    if (this.#readVersions() || performance.now() >= this.#recheckAt) {
      this.#recheckAt = Number.POSITIVE_INFINITY;
      // A round in progress is superseded.
      this.#postponed = null;
      this.#round = this.#questions();
    }
    this.#askNext();
  }

  /** Ends a right that has expired. An answer about an opaque token expires before the token, so policy is asked again. */
  #expired(right: Right, since: Seconds): void {
    const { providers } = authAt(this.#parts.config.current, right.caller.view);
    const isAnswer = right.caller.scheme === Scheme.bearer && providers.some(({ type }) => type === 'oauth2');
    if (isAnswer && since < RENEW_SECONDS) {
      if (right.isRenewing) return;
      right.isRenewing = true;
      if (this.#ask(right, null, (verdict) => this.#renewed(right, verdict))) return;
    }
    this.#endRight(right.holder, 'GW_TOKEN_EXPIRED');
  }

  #renewed(right: Right, verdict: VerdictRecord): void {
    right.isRenewing = false;
    const isRenewed = refusalIn(verdict) === null && verdict.isFor(right.subject);
    if (isRenewed) this.#expire(right, verdict.rememberUntil);
    else this.#endRight(right.holder, 'GW_TOKEN_EXPIRED');
  }

  /** @returns whether the versions have changed since the last call */
  #readVersions(): boolean {
    const snapshotVersion = this.#parts.epochs.snapshot();
    const revocation = this.#parts.epochs.revocation();
    const isNew = snapshotVersion !== this.#snapshotVersion || revocation !== this.#revocation;
    this.#snapshotVersion = snapshotVersion;
    this.#revocation = revocation;
    return isNew;
  }

  /** One question for each token, followed by one for each resource that its holder is subscribed to. */
  *#questions(): Generator<() => boolean> {
    for (const right of this.#held.values()) {
      yield () => this.#ask(right, null, (verdict) => this.#judged(right, verdict));
      if (!(right.holder instanceof Exchange)) continue;
      for (const uri of this.#parts.subscriptions.subscribedUris(right.holder)) {
        yield () => this.#ask(right, judgedUri(uri), (verdict) => this.#resourceJudged(right, uri, verdict));
      }
    }
  }

  #askNext(): void {
    // An answer may arrive before `ask` returns.
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      while (this.#pending < MAX_PENDING) {
        const ask = this.#postponed ?? this.#nextQuestion();
        this.#postponed = null;
        if (ask === null) break;
        if (ask()) continue;
        // All exchanges are in use: asked again at the next tick.
        this.#postponed = ask;
        break;
      }
    } catch (error) {
      this.#parts.log.fault(error);
    } finally {
      this.#isAsking = false;
    }
  }

  #nextQuestion(): (() => boolean) | null {
    const next = this.#round?.next();
    if (next === undefined || next.done === true) {
      this.#round = null;
      return null;
    }
    return next.value;
  }

  #ask(right: Right, uri: string | null, answered: Answered): boolean {
    if (this.#held.get(right.holder) !== right) return true;
    this.#pending += 1;
    const about = uri === null ? 'token' : 'resource';
    const question: Question = { caller: right.caller, address: '', about, name: uri ?? '', isMetered: false };
    const isAsked = this.#parts.policy.ask(question, (verdict) => {
      this.#pending -= 1;
      try {
        if (this.#held.get(right.holder) === right) answered(verdict);
      } catch (error) {
        this.#parts.log.fault(error);
      }
      this.#askNext();
    });
    if (!isAsked) this.#pending -= 1;
    return isAsked;
  }

  #judged(right: Right, verdict: VerdictRecord): void {
    const code = refusalIn(verdict);
    if (code !== null) {
      if (UNDECIDED.has(code)) this.#recheckAt = performance.now() + RETRY_MS;
      else this.#endRight(right.holder, code);
    } else if (!verdict.isFor(right.subject)) {
      // The token now names another subject than the stream's.
      this.#endRight(right.holder, 'GW_INVALID_TOKEN');
    } else {
      this.#expire(right, verdict.rememberUntil);
    }
  }

  #resourceJudged({ holder }: Right, uri: string, verdict: VerdictRecord): void {
    const code = refusalIn(verdict);
    if (code === null) return;
    if (UNDECIDED.has(code)) this.#recheckAt = performance.now() + RETRY_MS;
    else if (RESOURCE_REFUSALS.has(code)) this.#parts.listener.resourceForbidden(holder, uri, code);
  }

  #endRight(holder: RightHolder, code: ErrorCode): void {
    this.release(holder);
    try {
      this.#parts.listener.rightEnded(holder, code);
    } catch (error) {
      this.#parts.log.fault(error);
    }
  }
}

function refusalIn(verdict: VerdictRecord): ErrorCode | null {
  if (verdict.kind !== Verdict.deny) return null;
  return ERROR_CODES[verdict.error] ?? 'GW_INTERNAL';
}
