import { normalPattern, URI_FAULTS } from '../../protocol/uri.js';
import type { ConfigPath } from '../problems.js';
import { list } from '../schema/fields.js';
import type { Compilation } from './compilation.js';

/** Longest glob. A name has at most 128 characters, a URI rarely more than this. */
const MAX_PATTERN = 1_024;

/** The globs at a path as a list, each checked against the limits of the matchers. */
export function patterns(
  compilation: Compilation,
  value: string | readonly string[] | undefined,
  path: ConfigPath,
): string[] {
  const globs = list(value);
  for (const glob of globs) {
    if (glob.length > MAX_PATTERN) compilation.problem(path, `a pattern has at most ${MAX_PATTERN} characters`);
    if (/\p{Cc}/u.test(glob)) compilation.problem(path, 'a pattern has no control characters');
  }
  return globs;
}

/** Globs over URIs, or URI templates, in the normal form in which URIs are compared (src/protocol/uri.ts). */
export function uriPatterns(
  compilation: Compilation,
  value: string | readonly string[] | undefined,
  path: ConfigPath,
): string[] {
  return patterns(compilation, value, path).map((pattern) => {
    const normal = normalPattern(pattern, pattern.includes('{') ? 'template' : 'glob');
    if (typeof normal !== 'string') return normal.text;
    compilation.problem(path, `the pattern ${JSON.stringify(pattern)} can match no URI: ${URI_FAULTS[normal]}`);
    return pattern;
  });
}
