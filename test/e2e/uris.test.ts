/** Resources and templates whose URIs upstreams spell in their own way (RFC 3986, 6.2.2), through a running gateway. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

const RESOURCES = ['KB://Summary', 'kb://plain', 'file:///notes/caf\u00e9', 'Two://X', 'two://x'];
const TEMPLATES = [
  'KBInfo://{path}',
  'file:///docs/caf\u00e9/{name}',
  'file:///my docs/{name}',
  'file:///enc/%c3%a9/{name}',
];

/** What a client sends, and what the upstream gets; null = unknown. */
const ROWS: readonly [uri: string, sent: string | null][] = [
  ['KB://Summary', 'KB://Summary'],
  ['kb://Summary', 'KB://Summary'],
  ['kb://summary', 'KB://Summary'],
  ['KB://PLAIN', 'kb://plain'],
  ['file:///notes/caf%C3%A9', 'file:///notes/caf\u00e9'],
  ['file:///notes/caf%c3%a9', 'file:///notes/caf\u00e9'],
  ['Two://X', 'Two://X'],
  ['two://x', 'two://x'],
  ['TWO://x', 'two://x'],
  ['kbinfo://x', 'kbinfo://x'],
  ['KBInfo://x', 'KBInfo://x'],
  ['file:///docs/caf%C3%A9/a', 'file:///docs/caf%C3%A9/a'],
  ['file:///docs/caf\u00e9/a', 'file:///docs/caf\u00e9/a'],
  ['file:///my%20docs/a', 'file:///my%20docs/a'],
  ['file:///my docs/a', 'file:///my docs/a'],
  ['file:///enc/%C3%A9/a', 'file:///enc/%C3%A9/a'],
  ['file:///docs/cafe/a', null],
  ['file:///DOCS/caf%C3%A9/a', null],
  ['kb://Other/x', null],
];

for (const frontEnd of ['uws', 'node'] as const) {
  for (const decoder of ['native', 'typescript'] as const) {
    for (const client of ['legacy', 'modern'] as const) {
      describe(`URIs of a ${client} client on ${frontEnd} with the ${decoder} decoder`, () => {
        it('find what an upstream lists in another spelling', async (scope) => {
          const upstream = await rawUpstream(
            scope,
            ({ message: { method, params } }, answer) => {
              if (method === 'resources/list')
                answer.result({ resources: RESOURCES.map((uri) => ({ uri, name: uri })) });
              else if (method === 'resources/templates/list') {
                answer.result({
                  resourceTemplates: TEMPLATES.map((uriTemplate) => ({ uriTemplate, name: uriTemplate })),
                });
              } else if (method === 'resources/read') answer.result({ contents: [{ uri: params.uri, text: '' }] });
              else answer.result({});
            },
            { capabilities: { resources: { subscribe: true } } },
          );
          const idle = await rawUpstream(scope, (_request, answer) => answer.result({}));
          const gateway = await startGateway(
            scope,
            // With a second server, a URI that is not listed leads nowhere.
            { mcpServers: { kb: { url: upstream.url }, idle: { url: idle.url } } },
            { frontEnd, env: { SWITCHYARD_DECODER: decoder } },
          );
          const session = client === 'legacy' ? await openSession(gateway.url) : null;
          const ask = async (method: string, params: Record<string, unknown> = {}): Promise<Message> =>
            (await (session === null ? modernRpc(gateway.url, method, params) : session.request(method, params)))
              .message;
          await eventually('the lists', async () => (await ask('resources/list')).result.resources.length > 0);
          await eventually('the other server', async () => (await ask('tools/list')).result.tools.length > 2);
          for (const [uri, sent] of ROWS) {
            const { error, result } = await ask('resources/read', { uri });
            assert.equal(result?.contents[0].uri ?? null, sent, uri);
            if (sent === null) assert.equal(error.data.code, 'GW_UNKNOWN_RESOURCE');
          }
          if (session === null) return;
          await session.request('resources/subscribe', { uri: 'kb://summary' });
          await session.request('resources/unsubscribe', { uri: 'KB://Summary' });
          await eventually('the end of the subscription', () => upstream.received('resources/unsubscribe').length > 0);
          for (const method of ['resources/subscribe', 'resources/unsubscribe']) {
            assert.deepEqual(
              upstream.received(method).map(({ message }) => message.params.uri),
              ['KB://Summary'],
            );
          }
        });
      });
    }
  }
}
