import type { LimitMatchSnapshot, RateLimitsSnapshot } from '../../src/config/snapshot.js';
import { compileGlob } from '../../src/shared/patterns/glob.js';
import { PatternSet } from '../../src/shared/patterns/set.js';
import type { Principal } from '../authenticate/principal.js';
import type { Finder } from '../find/index.js';

/** `match` of one rule, compiled. */
class Match {
  readonly #scopes: readonly string[];
  readonly #isByTool: boolean;
  readonly #principals: PatternSet | null;

  constructor(match: LimitMatchSnapshot) {
    this.#scopes = match.scopes;
    this.#isByTool = match.tools.length > 0;
    this.#principals = globs(match.principals);
  }

  matches(rule: number, principal: Principal, found: Finder | null): boolean {
    if (this.#isByTool && (found === null || !found.limitRules.includes(rule))) return false;
    if (!this.#scopes.every((scope) => principal.scopes.has(scope))) return false;
    if (this.#principals === null) return true;
    const subject = Buffer.from(principal.subject);
    return this.#principals.first(subject, 0, subject.length) >= 0;
  }
}

/** `rateLimits.rules`: which of them is about a request. One per guard. */
export class LimitRules {
  readonly #matches: readonly Match[];

  constructor({ rules }: RateLimitsSnapshot) {
    this.#matches = rules.map(({ match }) => new Match(match));
  }

  /** Position of the first rule that matches, -1 = none. @param found the tool, or null for what has none */
  first(principal: Principal, found: Finder | null): number {
    for (let rule = 0; rule < this.#matches.length; rule += 1) {
      if (this.#matches[rule]!.matches(rule, principal, found)) return rule;
    }
    return -1;
  }
}

/** null = there is no pattern, and everything matches. */
function globs(patterns: readonly string[]): PatternSet | null {
  return patterns.length === 0 ? null : new PatternSet(patterns.map((pattern) => [compileGlob(pattern), 0]));
}
