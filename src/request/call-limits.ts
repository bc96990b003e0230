/** Refuses calls whose client or route has as many under way as its limit allows, and counts those that go on. */
import type { Current } from '../config/snapshot/current.js';
import type { ErrorCode } from '../errors.js';
import { Counter, type Counters } from '../shared/counters.js';
import type { VerdictRecord } from '../shared/ring/verdict-record.js';
import type { Count } from '../units.js';
import {
  type Concurrency,
  type ConcurrencyRules,
  FULL_RETRY_MS,
  type FullLimit,
  type LimitedPlace,
} from './exchange/concurrency.js';
import type { Exchange } from './exchange/index.js';

/** What {@link CallLimits} works with. */
export interface CallLimitParts {
  readonly config: Current<{ readonly attributes: readonly string[]; readonly concurrency: ConcurrencyRules }>;
  readonly routes: {
    /** The route of a verdict, by the rules it was made under; null = none, or they are forgotten. */
    routeOf(verdict: VerdictRecord): LimitedPlace | null;
  };
  readonly concurrency: Pick<Concurrency, 'beginRequest'>;
  readonly counters: Pick<Counters, 'add'>;
  readonly tokens: {
    /** Gives back the rate-limit tokens of a call that is not sent. */
    giveBack(exchange: Exchange): void;
  };
  readonly write: {
    /** Ends the exchange with an error. */
    fail(exchange: Exchange, code: ErrorCode): void;
  };
}

const COUNTER = {
  global: Counter.concurrencyGlobal,
  client: Counter.concurrencyClient,
  route: Counter.concurrencyRoute,
} as const satisfies Record<FullLimit, number>;

/** See the file comment; one per front. The pipeline asks it about each call that the policy lets through. */
export class CallLimits {
  readonly #parts: CallLimitParts;

  constructor(parts: CallLimitParts) {
    this.#parts = parts;
  }

  /** Counts a call from now until its request is answered. @returns false when a limit is reached: the call is refused */
  admit(exchange: Exchange): boolean {
    const { concurrency, config, counters, routes, tokens, write } = this.#parts;
    const { client, verdict } = exchange;
    const { attributes, concurrency: rules } = config.current;
    const route = verdict.route < 0 ? null : routes.routeOf(verdict);
    const full = concurrency.beginRequest(client, verdict.subject, rules, route, attributes);
    if (full === null) return true;
    counters.add(COUNTER[full]);
    tokens.giveBack(exchange);
    exchange.call.retryAfterMs = FULL_RETRY_MS;
    exchange.call.detail = sentence(full, rules, route);
    write.fail(exchange, 'GW_CONCURRENCY');
    return false;
  }
}

/** Which limit is reached, and by what key it can be changed. */
function sentence(full: FullLimit, rules: ConcurrencyRules, route: LimitedPlace | null): string {
  if (full === 'global') return `rateLimits.concurrency.global allows ${calls(rules.global)} of all clients together.`;
  if (full === 'client') return `rateLimits.concurrency.perClient allows each client ${calls(rules.perClient)}.`;
  return `maxConcurrent of the route "${route?.name}" allows ${calls(route?.maxConcurrent ?? 0)}.`;
}

function calls(count: Count): string {
  return count === 1 ? '1 call at once' : `${count} calls at once`;
}
