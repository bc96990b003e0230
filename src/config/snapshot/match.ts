/** What a rule compares calls with, as it is in a snapshot. */

/** A glob (or exact text), or a regular expression of RE2 over the whole text. */
export type PatternText = string | { readonly regex: string };

/** What a call must have besides a name that matches; each member that is not empty must hold. */
export interface ConditionsSnapshot {
  /** Ids of the methods (native/layout.ts) that a call may have; `null` = any. */
  readonly methods: readonly number[] | null;
  /** One of the patterns matches the value of the header at that position of `Snapshot.attributes`; all of the headers. */
  readonly headers: readonly HeaderCondition[];
  /** One matches the path of the endpoint (`Snapshot.views`) that got the request. */
  readonly paths: readonly PatternText[];
  /** One matches the subject. */
  readonly principals: readonly PatternText[];
  /** One matches a scope of the principal. */
  readonly scopes: readonly PatternText[];
  /** One matches a tag of the server that offers the target. */
  readonly tags: readonly PatternText[];
  /** All of them hold. */
  readonly arguments: readonly ArgumentCondition[];
}

/** What a request header must have. */
export interface HeaderCondition {
  /** Position in `Snapshot.attributes`. */
  readonly attribute: number;
  readonly patterns: readonly PatternText[];
}

/** What an argument of a call must have. */
export interface ArgumentCondition {
  /** The tokens of the JSON pointer (RFC 6901), unescaped. */
  readonly pointer: readonly string[];
  /** Patterns compare the text of a string, or a number, boolean or null as it is spelled; other values compare by type and value. */
  readonly values: readonly (PatternText | number | boolean | null)[];
}

/** What of a call the choice of a variant depends on. */
export type VariantKey =
  | { readonly type: 'header'; readonly attribute: number }
  | { readonly type: 'argument'; readonly pointer: readonly string[] }
  | { readonly type: 'principal' | 'address' | 'random' };

/** The variants of a route. */
export interface VariantsSnapshot {
  readonly by: VariantKey;
  /** For calls without what `by` names. */
  readonly otherwise: 'random' | 'address';
  /** Response header with the name of the group, lower case; `null` = none. */
  readonly responseHeader: string | null;
  /** Distinguishes the assignments of several routes; '' = they are the same for groups of one name. */
  readonly salt: string;
  readonly groups: readonly VariantGroup[];
}

/** One variant. */
export interface VariantGroup {
  readonly name: string;
  /** Its share of the calls is its weight among all weights; 0 = none. */
  readonly weight: number;
  /** Server indexes in order, at least one; the later ones, and those of the route behind them, are the fallback. */
  readonly servers: readonly number[];
}
