import assert from 'node:assert/strict';
import { it } from 'node:test';
import { headerLine, NameLines } from '../../../../src/upstream/http/wire/header-lines.js';

it('writes a header line, and none that would be two', () => {
  assert.equal(headerLine('x-a', 'b\tc')?.toString(), 'x-a: b\tc\r\n');
  for (const [name, value] of [
    ['x-a', 'b\r\nx-b: c'],
    ['x-a', 'b\0'],
    ['x a', 'b'],
    ['', 'b'],
    ['x-a:', 'b'],
  ] as const) {
    assert.equal(headerLine(name, value), null, `${name}: ${value}`);
  }
});

it('keeps the lines of names within a bound, whatever clients call', () => {
  const lines = new NameLines(8);
  const first = lines.of('echo');
  assert.equal(first?.toString(), 'mcp-name: echo\r\n');
  assert.equal(lines.of('echo'), first);
  for (let index = 0; index < 100; index += 1) {
    assert.equal(lines.of(`tool_${index}`)?.toString(), `mcp-name: tool_${index}\r\n`);
    assert.ok(lines.size <= 8);
  }
  assert.equal(lines.of('a\nb'), null);
  const { size } = lines;
  assert.equal(lines.of('n'.repeat(1000))?.length, 1012);
  assert.equal(lines.size, size);
});
