/** Where people point clients and browsers, on both front ends. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authOf } from '../../../support/auth.js';
import { rawRequest } from '../../../support/raw-http.js';
import { KINDS, openTestFront, post } from '../fixture.js';

const answered = { until: (text: string) => /\r\n\r\n/.test(text) };
const get = (path: string, ...headers: string[]): string =>
  `${[`GET ${path} HTTP/1.1`, 'Host: localhost', ...headers].join('\r\n')}\r\n\r\n`;
const BROWSER = 'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8';

for (const kind of KINDS) {
  test(`${kind}: the endpoint is at the root, at /mcp and at the configured path`, async (context) => {
    for (const [path, served, unknown] of [
      ['/mcp', [], ['/api/mcp', '/mcp/x', '//', '/MCP']],
      ['/api/mcp', ['/api/mcp', '/api/mcp/', '/api/mcp?x=1'], ['/api', '/api/', '/api/mcp/x', '/api/mcp//']],
      ['/api/mcp/', ['/api/mcp', '/api/mcp/'], ['/api', '/api/mcp//']],
      ['/', [], ['//', '/x']],
    ] as const) {
      const front = await openTestFront(kind, undefined, { path });
      context.after(() => front.close());
      for (const target of ['/', '/?x=1', '/mcp', '/mcp/', '/mcp?x=1', ...served]) {
        for (const method of ['POST', 'DELETE']) {
          const before = front.seen.length;
          const request =
            method === 'POST'
              ? post('{}').toString('latin1').replace('POST /mcp ', `POST ${target} `)
              : get(target, 'Mcp-Session-Id: s').replace('GET', 'DELETE');
          const reply = await rawRequest(front.port, request, answered);
          assert.deepEqual([reply.status, front.seen.length], [200, before + 1], `${method} ${target} at ${path}`);
        }
        const stream = await rawRequest(front.port, get(target, 'Accept: text/event-stream'), answered);
        assert.deepEqual([stream.status, front.seen.at(-1)?.kind], [200, 'stream'], `GET ${target} at ${path}`);
      }
      for (const target of unknown) {
        const request = post('{}').toString('latin1').replace('POST /mcp ', `POST ${target} `);
        const reply = await rawRequest(front.port, request, answered);
        assert.equal(reply.status, 404, `${target} at ${path}`);
      }
    }
  });

  test(`${kind}: a browser sees one page that says what this is and how to connect`, async (context) => {
    const front = await openTestFront(kind, undefined, { name: '<b>"x"', path: '/api' });
    context.after(() => front.close());
    for (const headers of [[BROWSER], ['Accept: */*'], []]) {
      const {
        body,
        headers: head,
        status,
      } = await rawRequest(front.port, get('/', ...headers), {
        until: (text) => text.endsWith('wss.\n'),
      });
      assert.deepEqual([status, head['content-type']], [200, 'text/plain; charset=utf-8']);
      assert.equal(head['x-content-type-options'], 'nosniff');
      assert.match(body, /Model Context Protocol/);
      for (const address of ['http://localhost/api', 'http://localhost/sse', 'ws://localhost/ws']) {
        assert.ok(body.includes(address), address);
      }
      const file = JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1));
      assert.deepEqual(file, { mcpServers: { '<b>"x"': { type: 'http', url: 'http://localhost/api' } } });
    }
    const bare = await rawRequest(front.port, get('/').replace('GET', 'HEAD'), answered);
    assert.deepEqual([bare.status, bare.body], [200, '']);
    assert.equal(front.seen.length, 0, 'no stage is asked');
    // A page of another site learns nothing, and neither does a name that was bound again.
    const foreign = await rawRequest(front.port, get('/', 'Origin: https://evil.example'), answered);
    const rebound = await rawRequest(front.port, get('/').replace('localhost', 'evil.example'), answered);
    assert.deepEqual([foreign.status, rebound.status], [403, 403]);
    // A client of MCP gets what the endpoint has.
    for (const header of ['Accept: text/event-stream', 'Mcp-Session-Id: s']) {
      await rawRequest(front.port, get('/', header), answered);
      assert.equal(front.seen.at(-1)?.kind, 'stream', header);
    }
  });

  test(`${kind}: the page names what is open`, async (context) => {
    const transports = { sse: false, websocket: false, rest: false };
    const front = await openTestFront(kind, undefined, { transports, auth: authOf({ type: 'bearer', tokens: [] }) });
    context.after(() => front.close());
    const { body } = await rawRequest(front.port, get('/', BROWSER), {
      until: (text) => text.endsWith('authenticate.\n'),
    });
    assert.match(body, /http:\/\/localhost\/mcp/);
    assert.doesNotMatch(body, /sse|\/ws|openapi/);
    assert.match(body, /wss\. Clients have to authenticate\.\n$/);
  });
}
