import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigObject } from '../../src/config/load.js';
import type { StatsSources } from '../../src/observe/state.js';
import { Counters, counterMemory, SeriesNames } from '../../src/shared/counters.js';
import { planBuckets } from '../../src/shared/limits/bucket-plan.js';
import { bucketMemory } from '../../src/shared/limits/buckets.js';

const DEFAULTS = compileSnapshot(loadConfigObject({ mcpServers: {} }));

/** Sources around real counters; `change` replaces parts. */
export function sourcesOf(named: number, change: Partial<StatsSources> = {}) {
  const memory = counterMemory(3, named);
  const names = new SeriesNames(memory);
  const sources: StatsSources = {
    name: 'gateway',
    version: '1.2.3',
    startedAt: Date.now() - 5_000,
    decoder: { kind: 'native', reason: '' },
    frontEnd: { kind: 'node', reason: 'the binary does not load' },
    counters: memory,
    seriesNames: names,
    snapshotVersion: () => 7,
    gauges: () => ({
      inFlight: 3,
      connections: 4,
      sessions: 5,
      rememberedVerdicts: 9,
      parked: 2,
      revoked: 0,
    }),
    limits: () => ({ plan: planBuckets(DEFAULTS), layout: bucketMemory(0, 0) }),
    upstreams: () => [
      {
        name: 'files',
        healthy: true,
        isolation: 'shared',
        clientUse: { capabilities: ['roots'], tools: [], advice: 'set isolation' },
        endpoints: [
          {
            transport: 'stdio',
            state: 'ready',
            reason: '',
            revision: '2025-11-25',
            inFlight: 2,
            dedicated: 4,
            breaker: 'closed',
            restarts: 1,
            events: { junkLines: 12, timeouts: 0 },
          },
          {
            transport: 'http',
            state: 'backoff',
            reason: 'it refuses connections',
            revision: '',
            inFlight: 0,
            breaker: 'none',
            restarts: 4,
          },
        ],
      },
      {
        name: 'notes',
        healthy: false,
        isolation: 'auto',
        clientUse: { capabilities: [], tools: [], advice: '' },
        endpoints: [],
      },
    ],
    cacheEvents: () => [{ route: 'cached', counts: [3, 1, 2, 4, 4, 1, 1] }],
    workers: () => [{ ready: true, incarnation: 2, queuedBytes: 0 }],
    catalog: () => ({
      version: 11,
      offered: [
        [10, 1, 2, 3],
        [5, 0, 0, 0],
      ],
      undiscovered: ['notes'],
      problems: [{ kind: 'collision', list: 'tools', server: 'notes', name: 'read', detail: 'files has the name' }],
      problemCounts: { collision: 1 },
      renamed: [{ list: 'tools', server: 'notes', name: 'a.b', offered: 'notes__a_b', reason: 'characters' }],
      renamedCount: 1,
      routeFaults: [],
      patternFaults: [],
    }),
    notReady: () => [],
    overload: () => ({
      active: false,
      reason: '',
      episodes: 0,
      level: 0,
      eventLoopDelayMs: 0,
      memory: 0,
      rings: 0,
      refused: 0,
    }),
    buffers: () => ({ bytes: 7, peakBytes: 9, maxBytes: 100, refused: 2 }),
    serverRequests: () => ({ open: 1, answered: 2, refused: 3, unattributable: 4, expired: 5, late: 6 }),
    streams: () => ({ open: 1, opened: 9, closedByClient: 5, closedByGateway: 3, bytes: 700, events: 12 }),
    logDropped: () => 6,
    ...change,
  };
  return { sources, names, front: new Counters(memory, 0), worker: new Counters(memory, 1) };
}
