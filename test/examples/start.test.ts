import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { cliPath, LISTENING } from '../support/gateway.js';
import { eventually, startProcess } from '../support/process.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { shared } from '../support/shared.js';

/** What a start without a configuration runs, on free ports. */
const started = shared(async (scope) =>
  startProcess(scope, process.execPath, [cliPath, 'start', '--port', '0', '--admin-port', '0']),
);

function runCurl(line: string): { result: { structuredContent: unknown } } {
  return JSON.parse(execFileSync('bash', ['-c', line], { encoding: 'utf8' }));
}

test('a start without a configuration prints an endpoint, a client entry and a curl line that work', async () => {
  const demo = await started();
  const [, origin, , admin] = await demo.waitForLine(LISTENING);
  const [, command] = await demo.waitForLine(/^\s*(curl .*)$/);
  const { result } = runCurl(command as string);
  assert.ok(result.structuredContent, demo.stdout);

  const entry = /\{\s*"mcpServers"[^\n]*\n[\s\S]*?\n {2}\}\n/.exec(demo.stdout)?.[0] ?? '';
  assert.equal(JSON.parse(entry).mcpServers.switchyard.url, `${origin}/mcp`);

  const readme = readFileSync(join(packageRoot, 'README.md'), 'utf8');
  const pasted = /^curl [\s\S]*?'\n(?=```)/m.exec(readme)?.[0] ?? '';
  assert.deepEqual(runCurl(pasted.replace('http://127.0.0.1:8000', origin as string)).result, result);

  const metrics = await (await fetch(`${admin}/metrics`)).text();
  const page = readFileSync(join(packageRoot, 'docs/operations.md'), 'utf8');
  for (const [name] of page.matchAll(/\bswitchyard_\w+/g)) assert.ok(metrics.includes(`# TYPE ${name} `), name);
});

test('both servers of the demo serve clients of both generations', async (t) => {
  const demo = await started();
  const [, origin] = await demo.waitForLine(LISTENING);
  const url = `${origin}/mcp`;
  for (const client of [
    await connectV1(t, url),
    await connectV2(t, url, 'modern'),
    await connectV2(t, url, 'legacy'),
  ]) {
    const names = await eventually('both servers are listed', async () => {
      const listed = (await client.listTools()).tools.map((tool) => tool.name);
      return listed.length >= 6 ? listed : undefined;
    });
    assert.deepEqual(names.sort(), [
      'notes__add_note',
      'notes__list_notes',
      'notes__search_notes',
      'weather__current_weather',
      'weather__forecast',
      'weather__read_station',
    ]);
    const found = await client.callTool({ name: 'notes__search_notes', arguments: { word: 'rails' } });
    assert.deepEqual(found.structuredContent, { titles: ['shopping'] });
    const read = await client.readResource({ uri: 'notes://note/welcome' });
    assert.match(JSON.stringify(read.contents), /stdio server/);
    const completion = await client.complete({
      ref: { type: 'ref/prompt', name: 'notes__summarize_note' },
      argument: { name: 'title', value: 'sh' },
    });
    assert.deepEqual(completion.completion.values, ['shopping']);
  }
  const client = await connectV1(t, url);
  const progress: number[] = [];
  const forecast = await client.callTool(
    { name: 'weather__forecast', arguments: { city: 'Lima', days: 2 } },
    undefined,
    {
      onprogress: (step) => progress.push(step.progress),
    },
  );
  assert.match(JSON.stringify(forecast.content), /day 2/);
  assert.deepEqual(progress, [1, 2]);
});

test('it ends on a signal', async () => {
  assert.deepEqual(await (await started()).stop('SIGTERM'), { code: 0, signal: null });
});
