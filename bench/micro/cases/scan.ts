import { decoder } from '../../../native/index.js';
import { Spans } from '../../../native/spans.js';
import { type Case, keep } from '../runner.js';

/** A call whose whole body has about `size` bytes. */
export function callOfSize(size: number): Buffer {
  const call = (text: string) =>
    `{"jsonrpc":"2.0","id":4711,"method":"tools/call","params":{"name":"files__read_text_file","arguments":{"path":"/srv/data/a.txt","text":"${text}"}}}`;
  const words = 'lorem ipsum dolor sit amet, consectetur \\"adipiscing\\" elit; ';
  const filler = words.repeat(Math.ceil(size / words.length) + 1);
  // Cut between words, so that no escape is split.
  let length = Math.max(0, size - call('').length);
  while (length > 0 && filler[length - 1] !== ' ') length--;
  return Buffer.from(call(filler.slice(0, length)));
}

const SIZES: readonly [name: string, bytes: number, goalNs: number | undefined][] = [
  ['0.2 KB', 205, 250],
  ['1 KB', 1024, undefined],
  ['10 KB', 10_240, undefined],
  ['100 KB', 102_400, undefined],
];

export const scanCases: readonly Case[] = SIZES.flatMap(([name, bytes, goalNs]): Case[] => [
  {
    name: `scan ${name}`,
    what: `decode: envelope scan, ${name}, full validation`,
    ...(goalNs === undefined ? {} : { goalNs }),
    setup() {
      const body = callOfSize(bytes);
      const spans = new Spans();
      return {
        run(times) {
          for (let i = 0; i < times; i++) keep(decoder.scan(body, body.length, spans.words, 64) + spans.nameStart);
        },
        notes: () => `${body.length} bytes, ${decoder.kind}`,
      };
    },
  },
  {
    name: `JSON.parse ${name}`,
    what: `the same bytes with JSON.parse, ${name}`,
    setup() {
      const body = callOfSize(bytes);
      return {
        run(times) {
          for (let i = 0; i < times; i++) keep((JSON.parse(body.toString()) as { id: number }).id);
        },
      };
    },
  },
]);
