import type { Compilation } from './compilation.js';
import type { ConfigPath } from './problems.js';
import { list } from './schema/fields.js';

/** Longest glob. A name has at most 128 characters, a URI rarely more than this. */
const MAX_PATTERN = 1_024;

/** The globs of a place as a list, each within what the matchers take. */
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
