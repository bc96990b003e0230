/**
 * What routes ask of a call besides its name: headers, path, principal, scopes, tags of the server, arguments, method. Compiled
 * once per snapshot; the answer for principal and scopes is kept with the principal.
 */
import { Method } from '../../native/layout.js';
import type { Snapshot } from '../../src/config/snapshot/index.js';
import type { ArgumentCondition, ConditionsSnapshot, PatternText } from '../../src/config/snapshot/match.js';
import type { ValueFilter } from '../../src/shared/patterns/set.js';
import { compilePattern, matchesAny, type TextPattern } from '../../src/shared/patterns/text.js';
import { RequestFlag } from '../../src/shared/ring/records.js';
import type { Principal } from '../authenticate/principal.js';
import { ArgumentReader } from './argument.js';
import type { CallFacts } from './facts.js';

/** What a call lacks for a route. */
export type Lack = 'method' | 'header' | 'path' | 'principal' | 'scope' | 'tag' | 'argument';

/** One route that was asked about. */
export interface TracedRoute {
  readonly route: number;
  readonly lack: Lack | null;
}

interface ArgumentTest {
  readonly pointer: readonly string[];
  readonly patterns: readonly TextPattern[];
  readonly values: readonly (number | boolean | null)[];
}

interface Conditions {
  /** 1 = a call may have the method of that id; `null` = any. */
  readonly methods: Uint8Array | null;
  readonly headers: readonly { readonly attribute: number; readonly patterns: readonly TextPattern[] }[];
  /** 1 = the request may be one of the view of that number; `null` = any. */
  readonly views: Uint8Array | null;
  readonly principals: readonly TextPattern[];
  readonly scopes: readonly TextPattern[];
  /** Position among the conditions that ask for a principal or scope, -1 = none is asked for. */
  readonly known: number;
  /** 1 = the server of that number has such a tag; `null` = any. */
  readonly servers: Uint8Array | null;
  readonly arguments: readonly ArgumentTest[];
}

/** See the file comment. One per finder. */
export class RouteConditions implements ValueFilter {
  /** No route asks for anything but names. */
  readonly isEmpty: boolean;
  /** The server that offers the target, -1 = none is known. Set before routes are looked up. */
  server = -1;
  /** A route before the first one that applies may apply: its arguments are not at hand. */
  needsArguments = false;
  /** As {@link needsArguments} for the last route that was asked about. */
  isUndecided = false;
  /** An argument that was compared is there twice. */
  isAmbiguous = false;
  readonly #routes: readonly (Conditions | null)[];
  readonly #principalRules: readonly Conditions[];
  /** By principal: which of {@link #principalRules} it meets. */
  readonly #met = new WeakMap<Principal, Uint8Array>();
  readonly #argument = new ArgumentReader();
  #facts: CallFacts | null = null;
  /** Where the routes that are asked about and what the call lacks for them are kept; null = nowhere. */
  trace: TracedRoute[] | null = null;
  #principal: Principal | null = null;
  /** What {@link #principal} meets; read when a rule asks for it. */
  #current: Uint8Array | null = null;

  constructor(snapshot: Snapshot) {
    const principalRules: Conditions[] = [];
    this.#routes = snapshot.routes.map(({ conditions }) => {
      if (conditions === null) return null;
      const compiled = compile(conditions, snapshot, principalRules.length);
      if (compiled.known >= 0) principalRules.push(compiled);
      return compiled;
    });
    this.#principalRules = principalRules;
    this.isEmpty = this.#routes.every((route) => route === null);
  }

  /** Whether a route asks for more than a name. */
  has(route: number): boolean {
    return this.#routes[route] != null;
  }

  /** Starts with another call. */
  begin(facts: CallFacts, principal: Principal): void {
    this.#facts = facts;
    if (principal !== this.#principal) this.#current = null;
    this.#principal = principal;
    this.server = -1;
    this.needsArguments = false;
    this.isAmbiguous = false;
  }

  /** Whether the call has what a route asks for besides its name. */
  accepts(route: number): boolean {
    const lack = this.#lack(route);
    if (this.trace !== null) this.trace.push({ route, lack });
    return lack === null;
  }

  #lack(route: number): Lack | null {
    this.isUndecided = false;
    const rule = this.#routes[route] ?? null;
    const facts = this.#facts;
    const principal = this.#principal;
    if (rule === null || facts === null || principal === null) return null;
    if (rule.methods !== null && rule.methods[facts.method] !== 1) return 'method';
    if (rule.views !== null && rule.views[facts.view] !== 1) return 'path';
    if (rule.servers !== null && rule.servers[this.server] !== 1) return 'tag';
    if (rule.known >= 0) {
      const met = this.#principalMeets(principal)[rule.known];
      if (met !== MEETS) return met === NOT_SUBJECT ? 'principal' : 'scope';
    }
    for (let i = 0; i < rule.headers.length; i += 1) {
      const { attribute, patterns } = rule.headers[i]!;
      if (!facts.findAttribute(attribute)) return 'header';
      if (!anyMatches(patterns, facts.bytes, facts.valueStart, facts.valueEnd)) return 'header';
    }
    return rule.arguments.length === 0 || this.#hasArguments(rule.arguments, facts) ? null : 'argument';
  }

  #hasArguments(tests: readonly ArgumentTest[], facts: CallFacts): boolean {
    const { method, bytes, argumentsStart, argumentsEnd } = facts;
    if (method !== Method.toolsCall && method !== Method.promptsGet) {
      // A task was made by a call whose arguments are not known any more.
      this.isUndecided = method >= Method.tasksGet && method <= Method.tasksUpdate;
      return false;
    }
    if (!facts.has(RequestFlag.hasArguments)) {
      this.isUndecided = true;
      this.needsArguments = true;
      return false;
    }
    const argument = this.#argument;
    for (let i = 0; i < tests.length; i += 1) {
      const { pointer, patterns, values } = tests[i]!;
      argument.isAmbiguous = false;
      const found = argument.find(bytes, argumentsStart, argumentsEnd, pointer);
      if (argument.isAmbiguous) this.isAmbiguous = true;
      if (!found) return false;
      if (!argument.readText(bytes) || !anyMatches(patterns, argument.text, argument.textStart, argument.textEnd)) {
        if (!isOneOf(values, argument, bytes)) return false;
      }
    }
    return true;
  }

  #principalMeets(principal: Principal): Uint8Array {
    if (this.#current !== null) return this.#current;
    const { subject, scopes } = principal;
    let met = this.#met.get(principal);
    if (met === undefined) {
      met = Uint8Array.from(this.#principalRules, (rule) => {
        if (rule.principals.length > 0 && !matchesAny(rule.principals, subject)) return NOT_SUBJECT;
        if (rule.scopes.length === 0) return MEETS;
        return [...scopes].some((scope) => matchesAny(rule.scopes, scope)) ? MEETS : NOT_SCOPE;
      });
      this.#met.set(principal, met);
    }
    this.#current = met;
    return met;
  }
}

const NOT_SUBJECT = 0;
const MEETS = 1;
const NOT_SCOPE = 2;

function anyMatches(patterns: readonly TextPattern[], bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = 0; i < patterns.length; i += 1) if (patterns[i]!.matches(bytes, start, end)) return true;
  return false;
}

/** Whether the argument that was found is one of the values. */
function isOneOf(values: ArgumentTest['values'], argument: ArgumentReader, bytes: Uint8Array): boolean {
  for (let i = 0; i < values.length; i += 1) if (argument.isValue(bytes, values[i]!)) return true;
  return false;
}

/** @param known the next position among the rules for principals */
function compile(conditions: ConditionsSnapshot, { servers, views }: Snapshot, known: number): Conditions {
  const compiled = (texts: readonly PatternText[]): TextPattern[] => texts.map(compilePattern);
  const flags = (texts: readonly PatternText[], rows: readonly (readonly string[])[]): Uint8Array | null => {
    if (texts.length === 0) return null;
    const patterns = compiled(texts);
    return Uint8Array.from(rows, (row) => (row.some((text) => matchesAny(patterns, text)) ? 1 : 0));
  };
  const { methods, headers, paths, principals, scopes, tags } = conditions;
  return {
    methods: methods === null ? null : methodFlags(methods),
    headers: headers.map(({ attribute, patterns }) => ({ attribute, patterns: compiled(patterns) })),
    views: flags(
      paths,
      views.map(({ path }) => [path]),
    ),
    principals: compiled(principals),
    scopes: compiled(scopes),
    known: principals.length + scopes.length > 0 ? known : -1,
    servers: flags(
      tags,
      servers.map((server) => server.tags),
    ),
    arguments: conditions.arguments.map(argumentTest),
  };
}

function methodFlags(methods: readonly number[]): Uint8Array {
  const flags = new Uint8Array(Math.max(...methods) + 1);
  // Methods that the gateway does not know are matched by their names.
  flags[Method.unknown] = 1;
  for (const method of methods) flags[method] = 1;
  return flags;
}

function argumentTest({ pointer, values }: ArgumentCondition): ArgumentTest {
  const test: { pointer: readonly string[]; patterns: TextPattern[]; values: (number | boolean | null)[] } = {
    pointer,
    patterns: [],
    values: [],
  };
  for (const value of values) {
    if (typeof value === 'string' || (typeof value === 'object' && value !== null)) {
      test.patterns.push(compilePattern(value));
    } else test.values.push(value);
  }
  return test;
}
