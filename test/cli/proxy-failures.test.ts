/** A proxy whose server is not there: one sentence and exit code 1, not an empty server. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { freePort, type TestScope } from '../support/process.js';
import { runCli, runHere } from './support.js';

async function statusUrl(scope: TestScope, status: number): Promise<string> {
  const server = createServer((_, response) => response.writeHead(status).end('sign in first'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

const CASES: readonly [string, (scope: TestScope) => Promise<readonly string[]>, RegExp][] = [
  [
    'a program that does not exist',
    async () => ['--', 'no-such-program', '--token=hidden'],
    /cannot be started: spawn no-such-program ENOENT \(PATH [^)]+\)/,
  ],
  [
    'a path without a program',
    async () => ['--', './nothing/here'],
    /cannot be started: spawn \.\/nothing\/here ENOENT/,
  ],
  [
    'a command with its arguments',
    async () => ['--', 'npx -y server'],
    /spawn npx ENOENT .*put the arguments into "args"/,
  ],
  [
    'a program that exits',
    async () => ['--', process.execPath, '-e', 'process.exit(3)'],
    /not available: exited with code 3/,
  ],
  ['a refused port', async () => [`http://127.0.0.1:${await freePort()}/mcp`], /cannot be reached \(ECONNREFUSED\)/],
  [
    'a refused port of WebSocket',
    async () => [`ws://127.0.0.1:${await freePort()}/`],
    /cannot be reached \(ECONNREFUSED\)/,
  ],
  ['401', async (scope) => [await statusUrl(scope, 401)], /the upstream answered 401: sign in first/],
  [
    '401 over HTTP with SSE',
    async (scope) => ['--transport-type', 'sse', await statusUrl(scope, 401)],
    /answered 401: sign in first/,
  ],
  [
    '404 over both transports',
    async (scope) => [await statusUrl(scope, 404)],
    /neither Streamable HTTP .* answered 404/,
  ],
];

for (const transport of ['stdio', 'http'] as const) {
  // What fails is the same for clients on a port.
  for (const [what, args, sentence] of transport === 'stdio' ? CASES : CASES.slice(0, 2)) {
    it(`ends with a sentence for ${what} (clients over ${transport})`, async (scope) => {
      const { code, stdout, stderr } = await runHere(['proxy', '-t', transport, ...(await args(scope))]);
      assert.equal(code, 1, stderr);
      assert.equal(stdout, '');
      const last = stderr.trimEnd().split('\n').at(-1) ?? '';
      assert.match(last, /the server is not available: /);
      assert.match(last, sentence);
      assert.doesNotMatch(stderr, /hidden|^\s+at /m);
    });
  }
}

it('ends its process, too', async (scope) => {
  const { code, stdout, stderr } = await runCli(scope, ['proxy', `http://127.0.0.1:${await freePort()}/mcp`]);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /\nswitchyard: the server is not available: .+ \(ECONNREFUSED\)\n$/);
});
