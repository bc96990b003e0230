import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawRequest } from '../../../support/raw-http.js';
import { KINDS, openTestFront, post } from '../fixture.js';

const ORIGIN = 'https://app.example';

for (const kind of KINDS) {
  const preflight = (port: number, origin: string, extra = '') =>
    rawRequest(
      port,
      `OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\n${origin}Access-Control-Request-Method: POST\r\n${extra}\r\n`,
      { until: (text) => text.includes('\r\n\r\n') },
    );

  test(`${kind}: a page of an allowed origin may send what MCP needs and read the answer`, async (context) => {
    const front = await openTestFront(kind, undefined, { allowedOrigins: [ORIGIN] });
    context.after(() => front.close());
    const asked = 'Access-Control-Request-Headers: content-type, mcp-param-city, x-evil, mcp-param-"\r\n';
    const reply = await preflight(front.port, `Origin: ${ORIGIN}\r\n`, asked);
    assert.equal(reply.status, 204);
    assert.equal(reply.headers['content-length'], undefined);
    assert.equal(reply.headers['access-control-allow-origin'], ORIGIN);
    assert.equal(reply.headers['vary'], 'Origin');
    assert.equal(reply.headers['access-control-allow-methods'], 'GET, POST, DELETE, OPTIONS');
    const allowed = reply.headers['access-control-allow-headers']!.split(', ');
    for (const name of ['Authorization', 'Content-Type', 'Accept', 'MCP-Protocol-Version', 'Mcp-Method', 'Mcp-Name']) {
      assert.ok(allowed.includes(name), name);
    }
    assert.ok(allowed.includes('Mcp-Session-Id') && allowed.includes('Last-Event-ID'));
    assert.ok(allowed.includes('mcp-param-city'));
    assert.ok(!reply.text.includes('x-evil') && !reply.text.includes('mcp-param-"'));

    const answer = await rawRequest(front.port, post('{}', [`Origin: ${ORIGIN}`]), { until: (t) => t.endsWith('{}') });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['access-control-allow-origin'], ORIGIN);
    assert.match(answer.headers['access-control-expose-headers']!, /Mcp-Session-Id.*WWW-Authenticate/);
    assert.equal(front.seen.length, 1);
  });

  test(`${kind}: a page of another origin gets 403 and no CORS header, on preflight too`, async (context) => {
    const front = await openTestFront(kind, undefined, { allowedOrigins: [ORIGIN] });
    context.after(() => front.close());
    for (const origin of ['https://evil.example', 'http://app.example', `${ORIGIN}:8443`, 'null']) {
      const reply = await preflight(front.port, `Origin: ${origin}\r\n`);
      assert.equal(reply.status, 403, origin);
      assert.ok(!/access-control/i.test(reply.text), reply.text);
      const answer = await rawRequest(front.port, post('{}', [`Origin: ${origin}`]));
      assert.equal(answer.status, 403, origin);
      assert.ok(!/access-control/i.test(answer.text), answer.text);
    }
    assert.deepEqual(front.seen, []);
  });

  test(`${kind}: an answer without an origin carries no CORS header`, async (context) => {
    const front = await openTestFront(kind, undefined, { allowedOrigins: ['*'] });
    context.after(() => front.close());
    const answer = await rawRequest(front.port, post('{}'), { until: (text) => text.endsWith('{}') });
    assert.ok(!/access-control/i.test(answer.text));
    const open = await rawRequest(front.port, post('{}', ['Origin: https://any.example']), {
      until: (text) => text.endsWith('{}'),
    });
    assert.equal(open.headers['access-control-allow-origin'], 'https://any.example');
  });
}
