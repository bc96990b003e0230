/** The endpoints that the suite is run against: the fixture alone, and the gateway before each kind of it. */
import { fileURLToPath } from 'node:url';
import { startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope } from '../support/process.js';
import { modernRpc } from '../support/rpc.js';
import { everythingStdio, type StdioEntry, type UrlEntry } from '../support/upstreams.js';

/** One row of the table. */
export interface Cell {
  readonly name: string;
  /** Starts what the row measures; ends with the scope. The result is the endpoint. */
  start(scope: TestScope): Promise<string>;
}

const fixture = fileURLToPath(new URL('./fixture.js', import.meta.url));

async function fixtureHttp(scope: TestScope, family: 'modern' | 'legacy' | 'dual'): Promise<UrlEntry> {
  const running = startProcess(scope, process.execPath, [fixture, 'http', family]);
  const [, url] = await running.waitForLine(/^listening on (\S+)/);
  return { url: url! };
}

const fixtureStdio = (family: 'modern' | 'legacy'): StdioEntry => ({
  command: process.execPath,
  args: [fixture, 'stdio', family],
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
  return gateway.url;
}

export const CELLS: readonly Cell[] = [
  { name: 'the fixture alone', start: async (scope) => (await fixtureHttp(scope, 'dual')).url },
  {
    name: 'gateway, modern HTTP',
    start: async (scope) => gatewayBefore(scope, await fixtureHttp(scope, 'modern')),
  },
  { name: 'gateway, modern stdio', start: (scope) => gatewayBefore(scope, fixtureStdio('modern')) },
  {
    name: 'gateway, legacy HTTP',
    start: async (scope) => gatewayBefore(scope, await fixtureHttp(scope, 'legacy')),
  },
  { name: 'gateway, legacy stdio', start: (scope) => gatewayBefore(scope, fixtureStdio('legacy')) },
];
