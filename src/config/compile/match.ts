/** The `match` of rules: patterns, and what calls must have besides a name. */
import { METHODS, Method } from '../../../native/layout.js';
import { compilePattern, matchesAny, shownPattern } from '../../shared/patterns/text.js';
import { nearest } from '../nearest.js';
import type { ConfigPath } from '../problems.js';
import type { ResolvedConfig } from '../schema/index.js';
import { patternsOf } from '../schema/match.js';
import { EVERYTHING } from '../schema/routes.js';
import type { RouteSnapshot, ViewSnapshot } from '../snapshot/index.js';
import type { ArgumentCondition, ConditionsSnapshot, HeaderCondition, PatternText } from '../snapshot/match.js';
import { quoteKey } from '../source/index.js';
import type { Compilation } from './compilation.js';
import { patterns, uriPatterns } from './patterns.js';

type RouteMatch = NonNullable<ResolvedConfig['routes'][number]['match']>;
type CompiledMatch = Pick<RouteSnapshot, 'tools' | 'prompts' | 'resources' | 'methods' | 'conditions'>;

/** Methods of MCP whose calls have the name of a tool or prompt, or a URI. */
const NAMED_METHODS: ReadonlySet<number> = new Set([
  Method.toolsCall,
  Method.promptsGet,
  Method.resourcesRead,
  Method.resourcesSubscribe,
  Method.resourcesUnsubscribe,
  Method.complete,
  Method.tasksGet,
  Method.tasksResult,
  Method.tasksCancel,
  Method.tasksUpdate,
]);

/** The `match` of a route. */
export function compileMatch(
  compilation: Compilation,
  match: RouteMatch | undefined,
  path: ConfigPath,
  views: readonly ViewSnapshot[],
): CompiledMatch {
  const written = match ?? EVERYTHING;
  const names = {
    tools: patterns(compilation, written.tools, [...path, 'tools']),
    prompts: patterns(compilation, written.prompts, [...path, 'prompts']),
    resources: uriPatterns(compilation, written.resources, [...path, 'resources']),
    methods: patterns(compilation, written.methods, [...path, 'methods']),
  };
  if (match === undefined) return { ...names, conditions: null };
  const known = knownMethods(names.methods);
  const hasNames = names.tools.length + names.prompts.length + names.resources.length > 0;
  const limits = known.length > 0 && (!hasNames || known.some((method) => NAMED_METHODS.has(method)));
  const conditions = compileConditions(compilation, match, path, views, limits ? known : null);
  if (hasNames || (names.methods.length > 0 && !limits)) return { ...names, conditions };
  if (conditions === null) {
    compilation.problem(
      path,
      'needs "tools", "prompts", "resources", "methods" or another member; leave "match" out to match everything',
    );
    return { ...names, conditions };
  }
  const everything = { tools: [EVERYTHING.tools], prompts: [EVERYTHING.prompts], resources: [EVERYTHING.resources] };
  return { ...everything, methods: limits ? names.methods : [EVERYTHING.methods], conditions };
}

function knownMethods(methods: readonly PatternText[]): number[] {
  const compiled = methods.flatMap((text) => compiledOrNone(text));
  return METHODS.flatMap((name, method) => (method > 0 && matchesAny(compiled, name) ? [method] : []));
}

/** A pattern with a problem is reported where it is read. */
function compiledOrNone(text: PatternText): ReturnType<typeof compilePattern>[] {
  try {
    return [compilePattern(text)];
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}

/** @param methods that a call may have, `null` = any */
function compileConditions(
  compilation: Compilation,
  match: Pick<RouteMatch, 'headers' | 'paths' | 'principals' | 'scopes' | 'tags' | 'arguments'>,
  path: ConfigPath,
  views: readonly ViewSnapshot[],
  methods: readonly number[] | null,
): ConditionsSnapshot | null {
  const read = (key: 'paths' | 'principals' | 'scopes' | 'tags') => patterns(compilation, match[key], [...path, key]);
  const conditions: ConditionsSnapshot = {
    methods,
    headers: Object.entries(match.headers ?? {}).map(
      ([name, value]): HeaderCondition => ({
        attribute: compilation.attribute(name, [...path, 'headers', name]),
        patterns: patterns(compilation, value, [...path, 'headers', name]),
      }),
    ),
    paths: read('paths'),
    principals: read('principals'),
    scopes: read('scopes'),
    tags: read('tags'),
    arguments: Object.entries(match.arguments ?? {}).map(
      ([pointer, value]): ArgumentCondition => ({
        pointer: pointerTokens(compilation, pointer, [...path, 'arguments', pointer]),
        values: patternsOf(value).map((each) => {
          if (typeof each !== 'number' && typeof each !== 'boolean' && each !== null) {
            patterns(compilation, each, [...path, 'arguments', pointer]);
          }
          return each;
        }),
      }),
    ),
  };
  checkPaths(compilation, conditions.paths, [...path, 'paths'], views);
  checkTags(compilation, conditions.tags, [...path, 'tags']);
  const { headers, paths, principals, scopes, tags } = conditions;
  const lists = [headers, paths, principals, scopes, tags, conditions.arguments];
  return methods === null && lists.every((list) => list.length === 0) ? null : conditions;
}

/** The tokens of a JSON pointer (RFC 6901 section 3). */
export function pointerTokens(compilation: Compilation, pointer: string, path: ConfigPath): string[] {
  if (!/^(?:\/(?:[^~/]|~[01])*)+$/.test(pointer)) {
    compilation.problem(path, 'must be a JSON pointer into the arguments, as "/filter/kind" (RFC 6901)');
    return [];
  }
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** A rule for a path at which there is nothing would never apply. */
function checkPaths(
  compilation: Compilation,
  texts: readonly PatternText[],
  path: ConfigPath,
  views: readonly ViewSnapshot[],
): void {
  const known = views.map((view) => view.path);
  for (const text of texts) {
    const compiled = compiledOrNone(text);
    if (compiled.length === 0 || known.some((each) => matchesAny(compiled, each))) continue;
    const likely = typeof text === 'string' ? nearest(text, known) : null;
    const advice = likely === null ? `; there is ${known.join(', ')}` : `; did you mean ${likely}?`;
    compilation.problem(path, `${shownPattern(text)} is the path of no endpoint${advice}`);
  }
}

function checkTags(compilation: Compilation, texts: readonly PatternText[], path: ConfigPath): void {
  if (texts.length === 0) return;
  const { mcpServers } = compilation.loaded.config;
  const known = Object.values(mcpServers).flatMap(({ tags }) => patternsOf(tags));
  for (const text of texts) {
    const compiled = compiledOrNone(text);
    if (compiled.length === 0 || known.some((tag) => matchesAny(compiled, tag))) continue;
    const likely = typeof text === 'string' ? nearest(text, known) : null;
    const advice = likely === null ? '' : `; did you mean ${quoteKey(likely)}?`;
    compilation.problem(path, `no server of mcpServers has a tag that matches ${shownPattern(text)}${advice}`);
  }
}
