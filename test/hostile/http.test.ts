import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { KINDS, openTestFront, post, type TestFront } from '../request/accept/fixture.js';
import { rawRequest } from '../support/raw-http.js';
import { HTTP_ROWS, NEXT, PLAIN_BODY } from './http-rows.js';

/** A final answer, or the end of the connection, ends the wait. */
const answered = (text: string): boolean => /HTTP\/1\.1 (?!100)\d{3}[\s\S]*\r\n\r\n/.test(text);

/** The parsers of Node 20's binaries; others refuse the same rows, some with other answers. */
const RECORDED = process.versions.modules === '115';

for (const kind of KINDS) {
  describe(`${kind}: HTTP framing`, { concurrency: 32 }, () => {
    let front: TestFront;
    before(async () => {
      front = await openTestFront(kind);
    });
    after(() => front.close());

    for (const row of HTTP_ROWS) {
      const outcome = row.outcome[kind];
      test(`${row.name}: ${outcome}`, async (context) => {
        const own = await openTestFront(kind);
        context.after(() => own.close());
        const reply = await rawRequest(own.port, row.data, {
          until: outcome === 'silent' ? () => false : answered,
          waitMs: outcome === 'silent' ? 200 : 5000,
          paceMs: 20,
        });
        const bodies = own.seen.map((seen) => seen.body.toString());
        if (outcome === 'served' || (outcome === 'cut' && bodies.length > 0)) assert.deepEqual(bodies, [PLAIN_BODY]);
        else assert.deepEqual(bodies, [], 'the handler saw the request');
        if (outcome === 'served') assert.match(reply.text, /HTTP\/1\.1 200/);
        else if (outcome === 'silent' && RECORDED) assert.equal(reply.text, '');
        else if (outcome === 'closed' && RECORDED) assert.ok(reply.closed && reply.text === '', reply.text);
        else if (outcome === 'cut') assert.ok(!reply.text.includes(' 200 '), reply.text);
        else if (RECORDED) assert.equal(reply.status, outcome, reply.text);
        else assert.ok(!reply.text.includes(' 200 '), reply.text);
        assert.equal(own.table.inUse, 0);

        if (row.disputed !== true) return;
        const second = await rawRequest(own.port, row.data + NEXT, { waitMs: 100 });
        assert.deepEqual(own.seen, [], 'the handler saw the request behind it');
        assert.ok(!second.text.includes(' 200 '), second.text);
      });
    }

    test('the front end still serves afterwards', async () => {
      const reply = await rawRequest(front.port, post('{"ok":1}'), { until: (text) => text.endsWith('{"ok":1}') });
      assert.equal(reply.status, 200);
    });
  });
}
