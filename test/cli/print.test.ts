import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasColour, table } from '../../src/cli/console/print.js';

const terminal = { isTTY: true } as NodeJS.WriteStream;
const pipe = {} as NodeJS.WriteStream;

const ROWS: readonly [name: string, stream: NodeJS.WriteStream, env: Record<string, string>, expected: boolean][] = [
  ['a terminal', terminal, {}, true],
  ['a terminal with an empty NO_COLOR', terminal, { NO_COLOR: '' }, true],
  ['a terminal with NO_COLOR', terminal, { NO_COLOR: '1' }, false],
  ['a terminal that cannot', terminal, { TERM: 'dumb' }, false],
  ['a pipe', pipe, {}, false],
];

for (const [name, stream, env, expected] of ROWS) {
  test(`${name} gets ${expected ? 'colours' : 'plain text'}`, () => {
    assert.equal(hasColour(stream, env), expected);
  });
}

test('cells of a table line up, and lines end without spaces', () => {
  const rows = [
    ['a', 'bb', 'c'],
    ['long name', 'b', ''],
  ];
  assert.deepEqual(table(rows), ['  a          bb  c', '  long name  b']);
});
