import type { LimitMatchSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
import { compileGlob } from '../../src/shared/patterns/glob.js';
import { PatternSet } from '../../src/shared/patterns/set.js';
import type { Principal } from '../authenticate/principal.js';
import type { Finder } from '../find/index.js';
import type { LimitedClient } from './client.js';

/** Values of one header that match. */
interface HeaderMatch {
  readonly attribute: number;
  readonly values: PatternSet;
}

/** `match` of one rule, compiled. */
class Match {
  readonly #scopes: readonly string[];
  readonly #isByName: boolean;
  readonly #principals: PatternSet | null;
  /** Whether {@link #principals} matches the subject, by principal. */
  readonly #named = new WeakMap<Principal, boolean>();
  readonly #headers: readonly HeaderMatch[];
  /** By view: whether its path matches. */
  readonly #views: readonly boolean[];

  constructor(match: LimitMatchSnapshot, views: Snapshot['views']) {
    this.#scopes = match.scopes;
    this.#isByName = match.tools.length + match.prompts.length + match.resources.length > 0;
    this.#principals = match.principals.length === 0 ? null : globs(match.principals);
    this.#headers = match.headers.map(({ attribute, values }) => ({ attribute, values: globs(values) }));
    const paths = match.paths.length === 0 ? null : globs(match.paths);
    this.#views = views.map(({ path }) => paths === null || matches(paths, path));
  }

  matches(rule: number, client: LimitedClient, found: Finder | null): boolean {
    if (this.#isByName && (found === null || !found.limits.rules.includes(rule))) return false;
    if (this.#views[client.view] !== true) return false;
    const { principal } = client;
    for (const scope of this.#scopes) if (!principal.scopes.has(scope)) return false;
    for (const { attribute, values } of this.#headers) {
      if (!client.findAttribute(attribute)) return false;
      if (values.first(client.bytes, client.valueStart, client.valueEnd) < 0) return false;
    }
    return this.#principals === null || this.#isNamed(this.#principals, principal);
  }

  #isNamed(principals: PatternSet, principal: Principal): boolean {
    let isNamed = this.#named.get(principal);
    if (isNamed === undefined) {
      isNamed = matches(principals, principal.subject);
      this.#named.set(principal, isNamed);
    }
    return isNamed;
  }
}

/** `rateLimits.rules`: which of them is about a request. One per guard. */
export class LimitRules {
  readonly #matches: readonly Match[];

  constructor({ rateLimits, views }: Snapshot) {
    this.#matches = rateLimits.rules.map(({ match }) => new Match(match, views));
  }

  /** Position of the first rule that matches, -1 = none. @param found the target, or null for what has none */
  first(client: LimitedClient, found: Finder | null): number {
    for (let rule = 0; rule < this.#matches.length; rule += 1) {
      if (this.#matches[rule]!.matches(rule, client, found)) return rule;
    }
    return -1;
  }
}

function globs(patterns: readonly string[]): PatternSet {
  return new PatternSet(patterns.map((pattern) => [compileGlob(pattern), 0]));
}

function matches(set: PatternSet, text: string): boolean {
  const bytes = Buffer.from(text);
  return set.first(bytes, 0, bytes.length) >= 0;
}
