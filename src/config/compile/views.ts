import type { ConfigPath } from '../problems.js';
import { list } from '../schema/fields.js';
import type { AuthSnapshot } from '../snapshot/auth.js';
import type { ServerSnapshot, ViewSnapshot } from '../snapshot/index.js';
import { quoteKey } from '../source/index.js';
import { compileAuth, scopeList } from './auth.js';
import type { Compilation } from './compilation.js';
import { globs, uriPatterns } from './patterns.js';
import { serverIndex } from './server-index.js';

/** Most views; their number crosses to the workers with each request, and each has lists of its own. */
const MAX_VIEWS = 256;

/** The view of the endpoint that offers everything. */
function everything(path: string): ViewSnapshot {
  const all = {
    servers: null,
    tools: [],
    prompts: [],
    resources: [],
    hasPrefixes: true,
    requiredScopes: [],
    auth: null,
  };
  return { path, base: '', ...all };
}

/**
 * The endpoint that offers everything, then `views`, then those of `mcpServers.NAME.path`.
 *
 * @param auth what decides about clients where a view has no `auth` of its own
 * @param isExposed whether an endpoint without authentication must not be opened
 */
export function compileViews(
  compilation: Compilation,
  servers: readonly ServerSnapshot[],
  auth: AuthSnapshot,
  isExposed: boolean,
): ViewSnapshot[] {
  const { config } = compilation.loaded;
  const indexes = new Map(servers.map((server, index) => [server.name, index]));
  const views = [everything(config.path)];
  const add = (view: ViewSnapshot, path: ConfigPath): void => {
    if (views.some(({ base }) => base === view.base)) compilation.problem(path, 'is the path of another view');
    if (config.path === view.base || config.path.startsWith(`${view.base}/`)) {
      compilation.problem(path, `contains the path of the endpoint, ${config.path}`);
    }
    views.push(view);
  };
  for (const [key, view] of Object.entries(config.views)) {
    const path = ['views', key];
    const paths = pathsOf(key);
    const own = view.auth === undefined ? null : compileAuth(compilation, view.auth, [...path, 'auth'], paths.base);
    add(
      {
        ...paths,
        servers:
          view.servers === undefined
            ? null
            : list(view.servers).flatMap((name, i) => serverIndex(compilation, name, indexes, [...path, 'servers'], i)),
        tools: globs(compilation, view.tools, [...path, 'tools']),
        prompts: globs(compilation, view.prompts, [...path, 'prompts']),
        resources: uriPatterns(compilation, view.resources, [...path, 'resources']) as string[],
        hasPrefixes: view.prefix,
        requiredScopes: scopeList(view.requiredScopes),
        auth: own,
      },
      path,
    );
    if ((own ?? auth).providers.length === 0 && view.requiredScopes !== undefined) {
      compilation.problem([...path, 'requiredScopes'], 'nobody has scopes without "auth"');
    }
    if (isExposed && own?.providers.length === 0) {
      compilation.problem(
        [...path, 'auth'],
        'opens this path to everybody on a "host" that is reachable from other machines; set "allowUnauthenticated" to true to permit it',
      );
    }
  }
  for (const [name, { path }] of Object.entries(config.mcpServers)) {
    const server = indexes.get(name);
    if (path === undefined || server === undefined) continue;
    add({ ...everything(''), ...pathsOf(path), servers: [server], hasPrefixes: false }, ['mcpServers', name, 'path']);
  }
  if (views.length > MAX_VIEWS) {
    compilation.problem(
      ['views'],
      `are more than the ${MAX_VIEWS - 1} of one gateway, ${quoteKey('path')} of servers included`,
    );
  }
  return views;
}

/** `/users/mcp` and `/users` are the same view: both are its endpoint, and `/users/ws` is its WebSocket. */
export function pathsOf(written: string): Pick<ViewSnapshot, 'path' | 'base'> {
  const path = written.endsWith('/') ? written.slice(0, -1) : written;
  return { path, base: path.endsWith('/mcp') ? path.slice(0, -'/mcp'.length) : path };
}
