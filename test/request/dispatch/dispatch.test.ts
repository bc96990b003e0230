import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Bed } from './bed.js';

describe('dispatch', () => {
  it('gets a verdict from a worker, and remembers it', async () => {
    const bed = new Bed();
    try {
      const first = await bed.call('files__read', { a: 1 });
      assert.equal(first.verdict, 'forward');
      assert.equal(first.server, 0);
      assert.equal(first.entry, 0);
      assert.match(first.body, /"arguments":\{"a":1\}/);
      let synchronous = false;
      const { exchange, decided } = bed.open({ method: 'tools/call', params: { name: 'files__read' } });
      void decided.then(() => {
        synchronous = true;
      });
      await Promise.resolve();
      await Promise.resolve();
      assert.equal(synchronous, true);
      bed.done(exchange);
    } finally {
      await bed.close();
    }
  });
});
