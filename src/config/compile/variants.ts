/** The `variants` of a route. */

import type { ConfigPath } from '../problems.js';
import { SESSION_HEADER } from '../reserved-headers.js';
import type { ResolvedConfig } from '../schema/index.js';
import type { VariantKey, VariantsSnapshot } from '../snapshot/match.js';
import type { Compilation } from './compilation.js';
import { pointerTokens } from './match.js';

type VariantsConfig = NonNullable<ResolvedConfig['routes'][number]['variants']>;

/** Headers that answers have a meaning for, or that belong to the connection. */
const OWN_HEADERS =
  /^(?:mcp-.*|access-control-.*|content-.*|transfer-encoding|connection|keep-alive|www-authenticate|date|set-cookie|retry-after|cache-.*|age|allow|vary|upgrade)$/;

/**
 * @param salt the name that the file gives the route; '' = none
 * @param serversAt the numbers of the servers that a key names, those with a problem left out
 * @param fallback the servers of the route, which follow those of each group
 */
export function compileVariants(
  compilation: Compilation,
  variants: VariantsConfig,
  path: ConfigPath,
  salt: string,
  serversAt: (written: string | readonly string[], path: ConfigPath) => number[],
  fallback: readonly number[],
): VariantsSnapshot {
  const names = new Set<string>();
  const groups = variants.groups.map(({ name, weight, servers }, i) => {
    if (names.has(name)) compilation.problem([...path, 'groups', i, 'name'], 'is the name of another group');
    names.add(name);
    const numbers = serversAt(servers, [...path, 'groups', i, 'servers']);
    return { name, weight, servers: [...new Set([...numbers, ...fallback])] };
  });
  if (groups.every(({ weight }) => weight === 0)) {
    compilation.problem([...path, 'groups'], 'needs a group with a weight above 0');
  }
  const responseHeader = variants.responseHeader?.toLowerCase() ?? null;
  if (responseHeader !== null && OWN_HEADERS.test(responseHeader)) {
    compilation.problem([...path, 'responseHeader'], 'is a header with a meaning of its own; choose another name');
  }
  return {
    by: compileKey(compilation, variants.by, [...path, 'by']),
    otherwise: variants.otherwise,
    responseHeader,
    salt,
    groups,
  };
}

function compileKey(compilation: Compilation, by: VariantsConfig['by'], path: ConfigPath): VariantKey {
  if (by === 'session') return { type: 'header', attribute: compilation.attribute(SESSION_HEADER, path) };
  if (typeof by === 'string') return { type: by };
  if ('header' in by) {
    return { type: 'header', attribute: compilation.attribute(by.header, [...path, 'header']) };
  }
  return { type: 'argument', pointer: pointerTokens(compilation, by.argument, [...path, 'argument']) };
}
