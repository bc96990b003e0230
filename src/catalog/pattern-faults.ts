/** Patterns of rules besides routes that match nothing: a limit that limits nothing, or an answer that is stored all the same. */

import type { Snapshot } from '../config/snapshot/index.js';
import type { PatternText } from '../config/snapshot/match.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import { shownPattern } from '../shared/patterns/text.js';
import { type Kind, Offered, type RoutedServers } from './offered.js';

/** One finding about a pattern. */
export interface PatternFault {
  /** The key of the configuration that has the pattern, as `rateLimits.perTool[0].tools`. */
  readonly path: string;
  /** A sentence about it. */
  readonly detail: string;
}

/** A pattern of a rule. */
export interface RulePattern {
  readonly path: string;
  readonly text: PatternText;
  /** What it is compared with. */
  readonly kinds: readonly Kind[];
  /** It is compared with the own names of entries too. */
  readonly hasOwnNames: boolean;
}

/** The patterns of a configuration, besides those of routes, that names and URIs are compared with. */
export function rulePatterns({ cache, rateLimits }: Pick<Snapshot, 'cache' | 'rateLimits'>): RulePattern[] {
  const patternsOf = (path: string, texts: readonly PatternText[], kinds: readonly Kind[], hasOwnNames = false) =>
    // A pattern for everything asks for nothing in particular.
    texts
      .filter((text) => typeof text !== 'string' || !/^\*+$/.test(text))
      .map((text): RulePattern => ({ path, text, kinds, hasOwnNames }));
  const stored = (['tools', 'prompts', 'resources'] as const).filter((kind) => cache.enabled && cache[kind]);
  return [
    ...rateLimits.perTool.flatMap(({ tools }, i) => patternsOf(`rateLimits.perTool[${i}].tools`, tools, ['tools'])),
    ...rateLimits.rules.flatMap(({ match }, i) =>
      (['tools', 'prompts', 'resources'] as const).flatMap((kind) =>
        patternsOf(`rateLimits.rules[${i}].match.${kind}`, match[kind], [kind]),
      ),
    ),
    ...(stored.length === 0
      ? []
      : [
          ...patternsOf('cache.patterns', cache.patterns, stored),
          ...patternsOf('cache.exclude', cache.exclude, stored, true),
        ]),
  ];
}

/**
 * The patterns that match nothing.
 *
 * @param table what is offered; null = nothing is listed, and only what no server can offer is reported
 */
export function patternFaults(
  patterns: readonly RulePattern[],
  routed: RoutedServers,
  table: CatalogTable | null,
): PatternFault[] {
  if (patterns.length === 0) return [];
  const offered = new Offered(routed, table);
  const isMatched = new Set<RulePattern>();
  for (const kind of ['tools', 'prompts'] as const) {
    const named = patterns.filter(({ kinds }) => kinds.includes(kind));
    if (named.length > 0) for (const position of offered.named(kind, named)) isMatched.add(named[position]!);
  }
  for (const pattern of patterns) {
    if (isMatched.has(pattern) || !pattern.kinds.includes('resources')) continue;
    if (offered.has('resources', pattern.text, offered.serversOfReads(pattern.text))) isMatched.add(pattern);
  }
  return patterns.flatMap((pattern): PatternFault[] => {
    if (isMatched.has(pattern)) return [];
    const { kinds, path, text } = pattern;
    const advice = kinds.map((kind) => offered.advice(kind, text, false)).find((each) => each !== '') ?? '';
    const lists = kinds.join(' and ');
    return [
      { path, detail: `${shownPattern(text)} matches nothing ${offered.meaning} in the lists of ${lists}${advice}` },
    ];
  });
}
