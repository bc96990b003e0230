import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DispatchFixture } from './fixture.js';

describe('dispatch', () => {
  it('gets a verdict from a worker, and remembers it', async () => {
    const fixture = new DispatchFixture();
    try {
      const first = await fixture.call('files__read', { a: 1 });
      assert.equal(first.verdict, 'forward');
      assert.equal(first.server, 0);
      assert.equal(first.entry, 0);
      assert.match(first.body, /"arguments":\{"a":1\}/);
      let synchronous = false;
      const { exchange, decided } = fixture.open({ method: 'tools/call', params: { name: 'files__read' } });
      void decided.then(() => {
        synchronous = true;
      });
      await Promise.resolve();
      await Promise.resolve();
      assert.equal(synchronous, true);
      fixture.done(exchange);
    } finally {
      await fixture.close();
    }
  });
});
