import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawRequest } from '../../support/raw-http.js';
import { KINDS, openTestFront, post } from './fixture.js';

for (const kind of KINDS) {
  test(`${kind}: a POST reaches the handler with its body and headers, and its answer the client`, async () => {
    const front = await openTestFront(kind);
    assert.equal(front.front.kind, kind);
    const reply = await rawRequest(
      front.port,
      post('{"jsonrpc":"2.0","id":1,"method":"ping"}', [
        'Authorization: Bearer abc',
        'Mcp-Session-Id: s1',
        'Mcp-Param-City: Zürich',
      ]),
      { until: (text) => text.includes('ping"}') },
    );
    assert.equal(reply.status, 200);
    assert.equal(reply.body, '{"jsonrpc":"2.0","id":1,"method":"ping"}');
    const [seen] = front.seen;
    assert.equal(seen?.token, 'abc');
    assert.equal(seen?.sessionId, 's1');
    assert.equal(seen?.accepts, 3);
    assert.equal(seen?.paramHeaders[0], 'mcp-param-city');
    assert.equal(seen?.remoteAddress, '127.0.0.1');
    assert.equal(front.table.inUse, 0);
    await front.close();
  });
}
