/** The patterns over resources: of routes, and the URI templates that upstreams list. */
import type { PatternText } from '../../config/snapshot/match.js';
import { compileGlob } from './glob.js';
import { compileRegex } from './regex.js';
import type { TextPattern } from './text.js';
import { compileTemplate } from './uri-template.js';

/**
 * A pattern of a route over resource URIs: a URI template when it has an expression, else a glob or a regular expression. A `*` at the end of a glob
 * matches all that follows, also behind a `/`: what stands below a protected place is protected.
 */
export function resourcePatterns(text: PatternText): TextPattern[] {
  if (typeof text !== 'string') return [compileRegex(text.regex)];
  if (text.includes('{')) return compileTemplate(text);
  const backslashes = /(\\*)\*$/.exec(text)?.[1]?.length ?? 1;
  return [compileGlob(backslashes % 2 === 0 ? `${text}*` : text)];
}

/** A template that an upstream lists. An invalid one matches nothing but is still listed. */
export function templatePatterns(text: string): TextPattern[] {
  try {
    return compileTemplate(text);
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}
