/** Lines that are no JSON, on every channel: what is found in them, and which calls fail because of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/process.js';
import { startChannel } from '../channel-servers.js';
import type { PoolFixture } from '../fixture.js';

// biome-ignore lint/suspicious/noExplicitAny: whatever the server answers
const textOf = (response: any): string => response.result.content[0].text;
const statsOf = (pool: PoolFixture) => pool.server().endpoints[0]!.stats;

const ANSWER = '{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"type":"text","text":"fo}u{nd"}]}}';
const OTHER = '{"jsonrpc":"2.0","id":60000,"result":{}}';
const NOTE = '{"method":"notifications/message","params":{"level":"info","data":"{"},"jsonrpc":"2.0"}';

/** A line with the answer in it, and whether it holds anything else. */
const FOUND: [string, boolean][] = [
  [`Server log: ${ANSWER}`, true],
  [`\u001b[32m${ANSWER}\u001b[0m`, true],
  [`${OTHER}${ANSWER}`, false],
  [`${ANSWER} ${OTHER}\t`, false],
  [`${NOTE}${NOTE}${ANSWER}`, false],
  [`}]}${ANSWER}`, true],
  [`${ANSWER}}}`, true],
  [`{"level":"info"} ${ANSWER}`, true],
  [`{broken ${ANSWER}`, true],
  [`{"open": ${ANSWER}`, true],
  [`{"jsonrpc":"2.0","id":60000,"result":{"x":"${ANSWER}`, true],
  [`\0\0${ANSWER}`, true],
  [`[ ${OTHER}, ${ANSWER}`, true],
  [`{"jsonrpc":"2.0","id":60000,"result":{"x":NaN}} ${ANSWER}`, true],
];

/** Lines that destroy the answer. */
const LOST: string[][] = [
  ['{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"type":"te'],
  ['LOG {"jsonrpc":"2.0","id":"$ID","result":{"x":"a'],
  ['{"result":{"text":"first', 'second"},"jsonrpc":"2.0","id":$ID}'],
  ['{"jsonrpc":"2.0","id":$ID,"result":{"x":NaN}}'],
  ['{"jsonrpc":"2.0","id":$ID,"result":{"x":"\u0001"}}'],
  ['{"result":{"x":1,},"jsonrpc":"2.0","id":$ID}'],
  ['{"jsonrpc":"2.0","id":$ID,"error":{"code":1,"mess\u001b[0m'],
  [`{"jsonrpc":"2.0","id":$ID,"result":{"x":"${NOTE}`],
  [`{"jsonrpc":"2.0","id":60000,"result":{"x":"${NOTE}{"jsonrpc":"2.0","id":$ID,"result":{"x":"`],
];

/** Lines that leave it open whether the answer comes. */
const OPEN = [
  'DEBUG received {"jsonrpc":"2.0","id":$ID,"method":"tools/call","params":{}}',
  'DEBUG {"jsonrpc":"2.0","id":$ID,"method":"tools/call","params":{"nam',
  '"id":$ID}',
  '{"id":$ID,"method":"x","params":{"result":}}',
  '{"x":{"jsonrpc":"2.0","id":$ID,"result":',
  '{"jsonrpc":"2.0","id":',
  '{'.repeat(5_000),
  '{"'.repeat(5_000),
];

for (const transport of ['stdio', 'sse', 'websocket'] as const) {
  test(`${transport}: whole messages are found among other text, the rest is junk`, async (t) => {
    const pool = await startChannel(t, transport, 'plain');
    await pool.ready();
    for (const [line, hasRest] of FOUND) {
      const before = statsOf(pool).junkLines;
      const { response } = await pool.call('call', { do: 'raw', lines: [line] }).done;
      assert.equal(textOf(response), 'fo}u{nd', line);
      await eventually('the rest is counted', () => statsOf(pool).junkLines === before + (hasRest ? 1 : 0));
    }
    assert.ok(pool.log.some(({ fields }) => fields['line'] === 'Server log: '));
    assert.deepEqual(pool.serverRequests, []);
  });

  test(`${transport}: a call whose answer is destroyed fails at once, and no other`, async (t) => {
    const pool = await startChannel(t, transport, 'plain');
    await pool.ready();
    const waiting = pool.call('call', { do: 'hang' });
    for (const lines of LOST) {
      const { error, detail } = await pool.call('call', { do: 'raw', lines }).done;
      assert.equal(error, 'GW_UPSTREAM_PROTOCOL', lines.join('\n'));
      assert.match(detail, /^The response is no valid JSON: /);
    }
    assert.equal(waiting.reports, 0);
    pool.server().endpoints[0]!.cancel(waiting.exchange);
    const { error } = await pool.call('call', { do: 'raw', lines: ['{"jsonrpc":"2.0","result":{"x":'] }).done;
    assert.equal(error, 'GW_UPSTREAM_PROTOCOL', 'without an id it can only be the answer of the only call in flight');
  });

  test(`${transport}: a call whose answer may still come goes on`, async (t) => {
    const pool = await startChannel(t, transport, 'plain');
    await pool.ready();
    for (const line of OPEN) {
      const { response, error } = await pool.call('call', { do: 'raw', lines: [line, ANSWER] }).done;
      assert.equal(error, null, line.slice(0, 100));
      assert.equal(textOf(response), 'fo}u{nd', line.slice(0, 100));
    }
    assert.equal(pool.serverRequests.length, 0, 'what a server logs of a call is no request');
  });

  // Overlong, a surrogate, a cut sequence, Latin-1.
  const BYTES = ['\xff\xfe', '\xc0\xaf', '\xed\xa0\x80', '\xe2\x82', 'caf\xe9'];

  test(`${transport}: an answer that is no UTF-8 fails its call at once`, async (t) => {
    const pool = await startChannel(t, transport, 'plain');
    await pool.ready();
    const waiting = pool.call('call', { do: 'hang' });
    for (const bytes of BYTES) {
      const first = `{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"type":"text","text":"${bytes}"}]}}`;
      const last = `{"result":{"content":[{"type":"text","text":"${bytes}"}]},"id":"$ID","jsonrpc":"2.0"}`;
      for (const line of [first, last, `log ${first}`]) {
        const { error, detail } = await pool.call('call', { do: 'raw', lines: [line] }).done;
        assert.equal(error, 'GW_UPSTREAM_PROTOCOL');
        assert.match(
          detail,
          /no UTF-8, the first at position \d+; mcpServers\.test\.invalidUtf8: repair replaces them/,
        );
      }
    }
    assert.equal(waiting.reports, 0);
    assert.equal(statsOf(pool).restarts, 0);
  });

  test(`${transport}: it is repaired where the configuration says so`, async (t) => {
    const pool = await startChannel(t, transport, 'plain', { invalidUtf8: 'repair' });
    await pool.ready();
    for (const bytes of BYTES) {
      const line = `{"result":{"content":[{"type":"text","text":"${bytes}"}]},"jsonrpc":"2.0","id":$ID}`;
      const expected = Buffer.from(bytes, 'latin1').toString('utf8');
      for (const each of [line, `log ${line}`]) {
        const { response } = await pool.call('call', { do: 'raw', lines: [each] }).done;
        assert.equal(textOf(response), expected);
        assert.ok(expected.includes('\ufffd'));
      }
    }
    assert.equal(statsOf(pool).junkLines, BYTES.length, 'the text before them');
  });
}
