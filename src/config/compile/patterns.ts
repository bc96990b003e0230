import { normalPattern, URI_FAULTS } from '../../protocol/uri.js';
import { compileRegex } from '../../shared/patterns/regex.js';
import type { ConfigPath } from '../problems.js';
import { patternsOf } from '../schema/match.js';
import type { PatternText } from '../snapshot/match.js';
import type { Compilation } from './compilation.js';

/** Longest pattern. A name has at most 128 characters, a URI rarely more than this. */
const MAX_PATTERN = 1_024;

/** The patterns at a path as a list, each checked against the limits of the matchers. */
export function patterns(
  compilation: Compilation,
  value: PatternText | readonly PatternText[] | undefined,
  path: ConfigPath,
): PatternText[] {
  const texts = patternsOf<PatternText>(value);
  for (const text of texts) {
    if (typeof text !== 'string') checkRegex(compilation, text.regex, path);
    else if (text.length > MAX_PATTERN) {
      compilation.problem(path, `a pattern has at most ${MAX_PATTERN} characters`);
    } else if (/\p{Cc}/u.test(text)) compilation.problem(path, 'a pattern has no control characters');
  }
  return texts;
}

/** The globs at a path, where regular expressions are not understood. */
export function globs(
  compilation: Compilation,
  value: string | readonly string[] | undefined,
  path: ConfigPath,
): string[] {
  return patterns(compilation, value, path) as string[];
}

function checkRegex(compilation: Compilation, source: string, path: ConfigPath): void {
  try {
    compileRegex(source);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    compilation.problem(path, error.message);
  }
}

/** Patterns over URIs, or URI templates, in the normal form in which URIs are compared (src/protocol/uri.ts). */
export function uriPatterns(
  compilation: Compilation,
  value: PatternText | readonly PatternText[] | undefined,
  path: ConfigPath,
): PatternText[] {
  return patterns(compilation, value, path).map((pattern) => {
    if (typeof pattern !== 'string') return pattern;
    const normal = normalPattern(pattern, pattern.includes('{') ? 'template' : 'glob');
    if (typeof normal !== 'string') return normal.text;
    compilation.problem(path, `the pattern ${JSON.stringify(pattern)} can match no URI: ${URI_FAULTS[normal]}`);
    return pattern;
  });
}
