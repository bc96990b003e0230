import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { applyEdits, JsonCursor } from '../../src/protocol/json-cursor.js';
import { MemberCuts } from '../../src/protocol/member-cuts.js';

const NOTHING = new Uint8Array(0);

/** Removes the members of those names, whose values another reader has found. */
function remove(text: string, names: readonly string[], cuts = new MemberCuts(names.length)): string {
  const bytes = Buffer.from(text);
  cuts.clear();
  for (const name of names) {
    const cursor = new JsonCursor(bytes, 0);
    while (cursor.next()) if (cursor.keyIs(name)) cuts.add(bytes, cursor.start, cursor.end, name.length + 2);
  }
  cuts.add(bytes, -1, -1, 5);
  cuts.takeCommas(bytes);
  const edits = Array.from({ length: cuts.count }, (_, at) => ({
    start: cuts.startOf(at),
    end: cuts.endOf(at),
    text: NOTHING,
  }));
  return Buffer.from(applyEdits(bytes, 0, bytes.length, edits)).toString();
}

describe('member cuts', () => {
  const rows: readonly [text: string, expected: string][] = [
    ['{"a":1}', '{}'],
    ['{ "a" : 1 }', '{  }'],
    ['{"a":1,"b":2,"c":[3]}', '{}'],
    ['{"a":1,"x":0,"b":2}', '{"x":0}'],
    ['{"x":0,"a":1,"b":2,"y":9,"c":3}', '{"x":0,"y":9}'],
    ['{"b":2 , "a":1 , "x":0}', '{"x":0}'],
    ['{"x":0 , "a":1 , "y":9}', '{"x":0 , "y":9}'],
    ['{"x":"}\\",","c":{"a":1}}', '{"x":"}\\","}'],
    ['{"x":0}', '{"x":0}'],
  ];
  for (const [text, expected] of rows) {
    it(`leave ${expected} of ${text}`, () => assert.equal(remove(text, ['a', 'b', 'c']), expected));
  }

  it('leave the other members of any object, in their order, however it is written', () => {
    const cuts = new MemberCuts(3);
    const space = fc.constantFrom('', ' ', '\n\t', '  ');
    const member = fc.tuple(fc.constantFrom('a', 'b', 'c', 'x', 'y', 'z'), fc.jsonValue(), space, space, space, space);
    fc.assert(
      fc.property(fc.uniqueArray(member, { selector: ([name]) => name }), space, (members, inner) => {
        const text = members.map(([name, value, ...gap]) => {
          return `${gap[0]}"${name}"${gap[1]}:${gap[2]}${JSON.stringify(value)}${gap[3]}`;
        });
        const rest = members.filter(([name]) => !'abc'.includes(name)).map(([name, value]) => [name, value]);
        const left = JSON.parse(remove(`{${text.join(',') || inner}}`, ['a', 'b', 'c'], cuts));
        assert.deepEqual(Object.entries(left), JSON.parse(JSON.stringify(rest)));
      }),
    );
  });
});
