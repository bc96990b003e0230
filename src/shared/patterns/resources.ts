/** The patterns over resources: of routes, and the URI templates that upstreams list. */
import { compileGlob } from './glob.js';
import type { Pattern } from './pattern.js';
import { compileTemplate } from './uri-template.js';

/**
 * A pattern of a route over resource URIs: a URI template when it has an expression, else a glob. A `*` at the end of a glob
 * matches all that follows, also behind a `/`: what stands below a protected place is protected.
 */
export function resourcePatterns(text: string): Pattern[] {
  if (text.includes('{')) return compileTemplate(text);
  const backslashes = /(\\*)\*$/.exec(text)?.[1]?.length ?? 1;
  return [compileGlob(backslashes % 2 === 0 ? `${text}*` : text)];
}

/** A template that an upstream lists. An invalid one matches nothing but is still listed. */
export function templatePatterns(text: string): Pattern[] {
  try {
    return compileTemplate(text);
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}
