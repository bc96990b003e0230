import { normalPattern, URI_FAULTS } from '../../protocol/uri.js';
import { compileTemplate } from '../../shared/patterns/uri-template.js';
import { list } from '../schema/fields.js';
import type { CacheSnapshot } from '../snapshot/index.js';
import type { Compilation } from './compilation.js';
import { globs } from './patterns.js';

const DEFAULT_TTL_MS = 60_000;

/** The `cache` of a configuration. */
export function compileCache(compilation: Compilation): CacheSnapshot {
  const { ttl, ttlMs, staleMs, staleIfErrorMs, public: isPublic, ...cache } = compilation.loaded.config.cache;
  if (ttl !== undefined && ttlMs !== undefined) {
    compilation.problem(['cache', 'ttl'], 'is "ttlMs" in seconds; write one of the two');
  }
  const freshMs = ttlMs ?? (ttl === undefined ? DEFAULT_TTL_MS : Math.round(ttl * 1_000));
  const included = globs(compilation, cache.patterns, ['cache', 'patterns']);
  const excluded = globs(compilation, cache.exclude, ['cache', 'exclude']);
  const hasKind = cache.tools || cache.resources || cache.prompts;
  for (const key of ['patterns', 'exclude'] as const) {
    if (!hasKind && cache[key] !== undefined) {
      compilation.problem(['cache', key], 'has no effect without "tools", "resources" or "prompts"');
    }
  }
  return {
    ...cache,
    maxEntryBytes: Math.min(cache.maxEntryBytes, cache.maxBytes),
    rule: { ttlMs: freshMs, staleMs, staleIfErrorMs, public: isPublic },
    patterns: included,
    exclude: excluded,
    resourcePatterns: resourceForms(compilation, included, 'patterns'),
    resourceExclude: resourceForms(compilation, excluded, 'exclude'),
    includeHeaders: compileHeaders(compilation),
  };
}

/** The patterns as they are matched against URIs, in normal form; those that can be names only are left out. */
function resourceForms(compilation: Compilation, globs: readonly string[], key: 'patterns' | 'exclude'): string[] {
  return globs.flatMap((glob) => {
    const isTemplate = glob.includes('{');
    const normal = normalPattern(glob, isTemplate ? 'template' : 'glob');
    if (typeof normal !== 'string') {
      if (!isTemplate || isCompilable(normal.text)) return [normal.text];
      compilation.problem(['cache', key], `the pattern ${JSON.stringify(glob)} is no valid URI template`);
    } else if (isTemplate || glob.includes(':')) {
      compilation.problem(
        ['cache', key],
        `the pattern ${JSON.stringify(glob)} can match no URI: ${URI_FAULTS[normal]}`,
      );
    }
    return [];
  });
}

function isCompilable(template: string): boolean {
  try {
    compileTemplate(template);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Their positions in `Snapshot.attributes`, none twice. */
function compileHeaders(compilation: Compilation): number[] {
  const path = ['cache', 'includeHeaders'];
  const names = list(compilation.loaded.config.cache.includeHeaders);
  return [...new Set(names.map((name) => compilation.attribute(name, path)))];
}
