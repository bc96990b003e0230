/** Input schemas that model APIs refuse, offered as they are or without what is refused. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

const TOOL = {
  name: 'call',
  inputSchema: {
    type: 'object',
    properties: { id: { $ref: '#/$defs/Id' } },
    oneOf: [{ properties: { a: { type: 'string' } }, required: ['a'] }, { properties: { b: { type: 'number' } } }],
    $defs: { Id: { type: 'string' } },
  },
};

it('are offered by catalog.schemas to clients of both families, and calls are the same', async (scope) => {
  for (const family of ['legacy', 'modern'] as const) {
    const complete = family === 'modern' ? { resultType: 'complete' } : {};
    const upstream = await rawUpstream(
      scope,
      ({ message }, answer) => {
        const said = JSON.stringify(message.params.arguments);
        answer.result({ ...complete, content: [{ type: 'text', text: said }] });
      },
      { family, tools: [TOOL] },
    );
    const mcpServers = { raw: { url: upstream.url } };
    const gateway = await startGateway(scope, { mcpServers });
    const schemas = async (): Promise<Message[]> => {
      const session = await openSession(gateway.url);
      const replies = [await session.request('tools/list'), await modernRpc(gateway.url, 'tools/list')];
      return replies.map(({ message }) => message.result.tools[0].inputSchema);
    };
    assert.deepEqual(await schemas(), [TOOL.inputSchema, TOOL.inputSchema]);
    const lines = gateway.output.split('\n').filter((line) => line.includes('oneOf at its root'));
    assert.equal(lines.length, 1, gateway.output);
    assert.match(lines[0]!, /raw/);
    assert.match(lines[0]!, /catalog\.schemas/);

    const config = { mcpServers, catalog: { schemas: 'compatible' }, port: 0, admin: { port: 0 } };
    await writeFile(gateway.configFile, JSON.stringify(config));
    gateway.process.child.kill('SIGHUP');
    await eventually('the schemas are compatible', async () => (await schemas()).every(({ oneOf }) => !oneOf));
    for (const schema of await schemas()) {
      assert.deepEqual(Object.keys(schema.properties), ['id', 'a', 'b']);
      assert.deepEqual(schema.properties.id, { $ref: '#/$defs/Id' });
      assert.deepEqual(schema.$defs, TOOL.inputSchema.$defs);
      assert.equal(schema.type, 'object');
    }
    const params = { name: 'raw__call', arguments: { id: 'x', a: 'y', z: 1 } };
    const session = await openSession(gateway.url);
    for (const { message } of [
      await session.request('tools/call', params),
      await modernRpc(gateway.url, 'tools/call', params),
    ]) {
      assert.equal(message.result.content[0].text, JSON.stringify(params.arguments));
    }
  }
});
