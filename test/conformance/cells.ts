/** What the suite is run against: the fixture alone, the gateway before each kind of it, and the gateway as a client. */
import { fileURLToPath } from 'node:url';
import { startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope } from '../support/process.js';
import { modernRpc } from '../support/rpc.js';
import { everythingStdio, type StdioEntry, type UrlEntry } from '../support/upstreams.js';
import { type Revision, runClient, runSuite, type SuiteRun } from './suite.js';

/** One row of the table. */
export interface Cell {
  readonly name: string;
  /** Starts what the row measures; it ends with the scope. */
  start(scope: TestScope): Promise<RunRevision>;
}

/** Runs what a revision requires; the suite's records go to the folder `results`. */
export type RunRevision = (revision: Revision, results: string) => Promise<SuiteRun>;

const fixture = fileURLToPath(new URL('./fixture.js', import.meta.url));
const clientDriver = fileURLToPath(new URL('./client-driver.js', import.meta.url));

async function fixtureHttp(scope: TestScope, family: 'modern' | 'legacy' | 'dual'): Promise<UrlEntry> {
  const running = startProcess(scope, process.execPath, [fixture, 'http', family]);
  const [, url] = await running.waitForLine(/^listening on (\S+)/);
  return { url: url! };
}

/** A child of older revisions serves one session at a time: what it asks is meant for its one client. */
const fixtureStdio = (family: 'modern' | 'legacy'): StdioEntry & { isolation: string } => ({
  command: process.execPath,
  args: [fixture, 'stdio', family],
  isolation: family === 'legacy' ? 'session' : 'shared',
});

/** The gateway before the fixture, whose names stay bare, and before a second server, so that there is something to merge. */
async function gatewayBefore(scope: TestScope, entry: object): Promise<string> {
  const gateway = await startGateway(scope, {
    mcpServers: { fixture: { ...entry, prefix: false }, everything: everythingStdio() },
  });
  await eventually('both servers are listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    const names: string[] = (message?.result?.tools ?? []).map(({ name }: { name: string }) => name);
    return names.includes('test_simple_text') && names.includes('everything__echo');
  });
  // A child of its own for clients that can be asked is started now: one scenario waits less for an answer than that takes.
  await modernRpc(
    gateway.url,
    'tools/call',
    { name: 'test_simple_text', arguments: {} },
    { clientCapabilities: { elicitation: {} } },
  );
  return gateway.url;
}

function serverCell(name: string, start: (scope: TestScope) => Promise<string>): Cell {
  return {
    name,
    start: async (scope) => {
      const url = await start(scope);
      return (revision, results) => runSuite(url, revision, results);
    },
  };
}

export const CELLS: readonly Cell[] = [
  serverCell('the fixture alone', async (scope) => (await fixtureHttp(scope, 'dual')).url),
  serverCell('gateway, modern HTTP', async (scope) => gatewayBefore(scope, await fixtureHttp(scope, 'modern'))),
  serverCell('gateway, modern stdio', (scope) => gatewayBefore(scope, fixtureStdio('modern'))),
  serverCell('gateway, legacy HTTP', async (scope) => gatewayBefore(scope, await fixtureHttp(scope, 'legacy'))),
  serverCell('gateway, legacy stdio', (scope) => gatewayBefore(scope, fixtureStdio('legacy'))),
  {
    name: 'gateway as a client, without authorization',
    // The gateway has fixed credentials for each server; it runs no OAuth flow.
    start: async () => (revision, results) =>
      runClient(clientDriver, revision, results, (scenario) => !scenario.startsWith('auth/')),
  },
];
