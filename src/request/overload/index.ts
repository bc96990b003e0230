/** Refuses requests on behalf of the overload guard, at the two places where enough is known about them. */
import type { RouteSnapshot } from '../../config/snapshot/index.js';
import type { ErrorCode } from '../../errors.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import { type Exchange, MessageFlag } from '../exchange/index.js';
import type { OverloadGuard } from './guard.js';
import { mayHaveRoute, workOf, workOnRoute } from './kinds.js';

/** What {@link Shedding} works with. */
export interface SheddingParts {
  readonly guard: Pick<OverloadGuard, 'isActive' | 'hasPriorities' | 'retryAfterMs' | 'refuses'>;
  readonly routes: {
    /** The route of a verdict, by the rules it was made under; null = none, or they are forgotten. */
    routeOf(verdict: VerdictRecord): Pick<RouteSnapshot, 'priority'> | null;
  };
  readonly tokens: {
    /** Gives back the rate-limit tokens of a call that is not sent. */
    giveBack(exchange: Exchange): void;
  };
  readonly write: {
    /** Ends the exchange with an error. */
    fail(exchange: Exchange, code: ErrorCode): void;
  };
}

/** See the file comment; one per front. */
export class Shedding {
  readonly #parts: SheddingParts;

  constructor(parts: SheddingParts) {
    this.#parts = parts;
  }

  /** Refuses a decoded message whose kind does not depend on its route. @returns whether it is refused */
  beforeDecision(exchange: Exchange): boolean {
    const { guard } = this.#parts;
    const { flags, spans } = exchange.message;
    if (!guard.isActive || (flags & MessageFlag.admitted) !== 0) return false;
    if (guard.hasPriorities && mayHaveRoute(spans.method)) return false;
    return guard.refuses(workOf(exchange)) && this.#refuse(exchange);
  }

  /** Refuses a call by the priority of its route, before it is sent. @returns whether it is refused */
  beforeSending(exchange: Exchange): boolean {
    const { guard, routes, tokens } = this.#parts;
    if (!guard.isActive || !guard.hasPriorities || !mayHaveRoute(exchange.message.spans.method)) return false;
    if (!guard.refuses(workOnRoute(exchange, routes.routeOf(exchange.verdict)))) return false;
    tokens.giveBack(exchange);
    return this.#refuse(exchange);
  }

  #refuse(exchange: Exchange): true {
    exchange.call.retryAfterMs = this.#parts.guard.retryAfterMs;
    this.#parts.write.fail(exchange, 'GW_SHED');
    return true;
  }
}
