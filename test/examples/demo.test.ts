import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { startDemoServers } from '../../examples/demo.js';
import { eventually, startProcess } from '../support/process.js';
import { connectV1 } from '../support/sdk-clients.js';

test('the demo offers tools, resources, a template, a prompt, completion, progress and logs', async (t) => {
  const demo = await startDemoServers();
  t.after(() => demo.close());
  const { notes, weather } = demo.config.mcpServers as {
    notes: { command: string; args: string[] };
    weather: { url: string };
  };

  const stdio = new Client({ name: 'test', version: '1.0.0' });
  t.after(() => stdio.close());
  await stdio.connect(new StdioClientTransport({ ...notes, stderr: 'inherit' }));
  await stdio.callTool({ name: 'add_note', arguments: { title: 'track', text: 'a siding' } });
  const found = await stdio.callTool({ name: 'search_notes', arguments: { word: 'SIDING' } });
  assert.deepEqual(found.structuredContent, { titles: ['track'] });
  const read = await stdio.readResource({ uri: 'notes://note/track' });
  assert.equal((read.contents[0] as { text: string }).text, 'a siding');
  const prompt = await stdio.getPrompt({ name: 'summarize_note', arguments: { title: 'track' } });
  assert.match(JSON.stringify(prompt.messages), /a siding/);
  const completion = await stdio.complete({
    ref: { type: 'ref/prompt', name: 'summarize_note' },
    argument: { name: 'title', value: 'tr' },
  });
  assert.deepEqual(completion.completion.values, ['track']);

  const http = await connectV1(t, weather.url);
  const progress: number[] = [];
  const forecast = await http.callTool({ name: 'forecast', arguments: { city: 'lima', days: 2 } }, undefined, {
    onprogress: (step) => progress.push(step.progress),
  });
  assert.match(JSON.stringify(forecast.content), /day 2/);
  assert.deepEqual(progress, [1, 2]);
  assert.equal((await http.readResource({ uri: 'weather://cities' })).contents.length, 1);
});

test('the demo leaves no server behind when its process is killed', async (t) => {
  const module = new URL('../../examples/demo.js', import.meta.url).href;
  const script = `const { startDemoServers } = await import(${JSON.stringify(module)});
    console.log('weather ' + (await startDemoServers()).config.mcpServers.weather.url);`;
  const parent = startProcess(t, process.execPath, ['--input-type=module', '-e', script]);
  const [, url] = await parent.waitForLine(/^weather (\S+)/);
  const answers = () =>
    fetch(url as string).then(
      () => true,
      () => false,
    );
  assert.equal(await answers(), true);
  await parent.stop('SIGKILL');
  await eventually('the weather server ends', async () => !(await answers()));
});
