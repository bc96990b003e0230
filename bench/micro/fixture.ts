import { Catalog } from '../../src/catalog/index.js';
import type { PreparedCatalog } from '../../src/catalog/prepared.js';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigObject } from '../../src/config/load.js';
import type { GatewayConfig } from '../../src/config/schema/index.js';
import type { Snapshot } from '../../src/config/snapshot/index.js';
import { Era, LATEST_LEGACY } from '../../src/protocol/revisions.js';
import { packShared } from '../../src/shared/packed.js';
import { gatewayConfig } from '../load/gateway-config.js';

/** The upstream of all cases; nothing connects to it. */
const SERVERS = { bench: { url: 'http://127.0.0.1:9/mcp' } };

/** The snapshot of a configuration whose servers are one, `bench`, unless it names others. */
export function snapshotOf(config: object): Snapshot {
  return compileSnapshot(loadConfigObject({ mcpServers: SERVERS, ...config } as GatewayConfig));
}

/** The configuration of the load rows with all policy on: JWT, scopes, three rate limits, 21 routes. */
export const FULL: object = gatewayConfig('full', SERVERS.bench, 1);

/** A catalog of `count` tools of the first server, `bench__tool_00000` and so on. */
export async function catalogOf(snapshot: Snapshot, count: number): Promise<PreparedCatalog> {
  const catalog = new Catalog(snapshot);
  await catalog.start();
  const tools = Array.from({ length: count }, (_, index) =>
    JSON.stringify({
      name: toolName(index),
      description: 'A tool of the benchmarks.',
      inputSchema: { type: 'object', properties: { path: { type: 'string' } } },
      annotations: { readOnlyHint: true, idempotentHint: true },
    }),
  );
  await catalog.update({
    server: 0,
    era: Era.legacy,
    revision: LATEST_LEGACY,
    capabilities: { tools: {} },
    instructions: null,
    serverInfo: null,
    tools: packShared(tools),
    prompts: packShared([]),
    resources: packShared([]),
    templates: packShared([]),
    ttlMs: 0,
    cacheScope: 'public',
  });
  return catalog.current;
}

/** The server's own name of a tool of {@link catalogOf}. */
export function toolName(index: number): string {
  return `tool_${String(index).padStart(5, '0')}`;
}
