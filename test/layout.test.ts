import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path/posix';
import { test } from 'node:test';
import { packageRoot } from '../src/package-root.js';
import { arrowsBetweenRooms, FLOORS, roomOf, shippedSources, wrongArrows } from './support/rooms.js';
import { type Import, importsOf, readSource, sourcesBelow } from './support/sources.js';

/** The stages in the order in which a request travels: docs/architecture.md. */
const STAGES = [
  'src/request/accept',
  'src/request/decode',
  'src/request/dispatch',
  'workers/authenticate',
  'workers/find',
  'workers/guard',
  'workers/cache',
  'workers/rewrite',
  'src/request/send',
  'src/request/write',
];

/** What any stage may use at run time. */
const COMMON = [
  'src/protocol/',
  'src/shared/',
  'src/codes.ts',
  'src/errors.ts',
  'src/policy-errors.ts',
  'src/units.ts',
  'src/package-root.ts',
  'native/',
];

/** Contracts between the parts: the shape of data, and the numbers in it. */
const CONTRACTS = [
  'src/config/snapshot/auth.ts',
  'src/config/snapshot/current.ts',
  'src/config/snapshot/endpoint-auth.ts',
  'src/config/snapshot/match.ts',
  'src/config/snapshot/restrictions.ts',
  'src/config/snapshot/index.ts',
  'src/upstream/core/types.ts',
];

const LONGEST_FILE = 450;

const stageOf = (file: string): number => STAGES.findIndex((stage) => file.startsWith(`${stage}/`));
const isOurs = (target: string): boolean => /^(src|workers|native|test|bench|examples|scripts)\//.test(target);

/** Why a stage may not have this import, or undefined when it may. */
function objection(file: string, { target, typeOnly }: Import): string | undefined {
  if (!isOurs(target)) return undefined;
  const own = stageOf(file);
  const other = stageOf(target);
  if (other === own || COMMON.some((prefix) => target.startsWith(prefix))) return undefined;
  if (other > own) return 'a later stage';
  if (other >= 0) return typeOnly ? undefined : 'an earlier stage, of which only types may be used';
  if (CONTRACTS.includes(target)) return undefined;
  // What lies directly in the folder of the stages is what they share: the exchange.
  if (target.startsWith('src/request/') && file.startsWith('src/request/')) return undefined;
  if (target.startsWith('workers/') && file.startsWith('workers/')) return typeOnly ? undefined : 'the worker itself';
  return 'a part that no stage may know';
}

function objections(folder: string, judge: (file: string, found: Import) => string | undefined): string[] {
  return sourcesBelow(folder).flatMap((file) =>
    importsOf(file).flatMap((found) => {
      const reason = judge(file, found);
      return reason === undefined ? [] : [`${file} imports ${found.target}: ${reason}`];
    }),
  );
}

test('a stage imports itself, the common ground, and types of earlier stages', () => {
  const judge = (file: string, found: Import) => (stageOf(file) < 0 ? undefined : objection(file, found));
  assert.deepEqual([...objections('src/request', judge), ...objections('workers', judge)], []);
});

test('every stage has its folder', () => {
  for (const stage of STAGES) assert.notEqual(sourcesBelow(stage).length, 0, stage);
});

test('every room has a floor, and every floor its rooms', () => {
  const rooms = [...new Set(shippedSources().map(roomOf))];
  assert.deepEqual(rooms.sort(), FLOORS.flat().sort());
});

test('a room uses rooms on lower floors only, so that there is no circle', () => {
  assert.deepEqual(wrongArrows(arrowsBetweenRooms(), FLOORS), []);
});

test('the judge of floors sees upward arrows, circles and rooms without a floor', () => {
  const floors = [['src/errors.ts', 'src/low'], ['src/high', 'src/high/side'], ['src/index.ts']];
  const judge = (file: string, target: string) => wrongArrows([{ file, target }], floors);
  assert.deepEqual(judge('src/high/a.ts', 'src/low/b.ts'), []);
  assert.deepEqual(judge('src/index.ts', 'src/high/b.ts'), []);
  assert.deepEqual(judge('src/low/a.ts', 'src/high/b.ts'), ['src/low/a.ts imports src/high/b.ts: it lies higher']);
  assert.deepEqual(judge('src/errors.ts', 'src/low/b.ts'), [
    'src/errors.ts imports src/low/b.ts: it lies on the same floor',
  ]);
  assert.deepEqual(judge('src/low/deep/a.ts', 'src/low/b.ts'), [
    'src/low/deep/a.ts imports src/low/b.ts: src/low/deep has no floor',
  ]);
  const circle = [
    { file: 'src/high/a.ts', target: 'src/high/side/b.ts' },
    { file: 'src/high/side/b.ts', target: 'src/high/a.ts' },
  ];
  for (const order of [floors, floors.toReversed(), [['src/high'], ['src/high/side']]]) {
    assert.notEqual(wrongArrows(circle, order).length, 0);
  }
});

test('the name of a file does not repeat the name of its folder', () => {
  const repeats = (file: string) =>
    file.split('/').length > 2 && basename(file).startsWith(`${basename(dirname(file))}-`);
  assert.deepEqual(shippedSources().filter(repeats), []);
});

test('tests lie in folders named like the rooms that they test', () => {
  const belongs = (folder: string) => {
    const places = [folder, `src/${folder}`].map((place) => join(packageRoot, place));
    return places.some((place) => existsSync(place));
  };
  const own = /(^|\/)(fixtures|support)$/;
  const stray = [...new Set(sourcesBelow('test').map((file) => dirname(file).slice('test/'.length)))].filter(
    (folder) => {
      const [part = ''] = folder.split('/');
      return part !== '' && belongs(part) && !own.test(folder) && !belongs(folder);
    },
  );
  assert.deepEqual(stray, []);
});

test('workers touch no socket, the front verifies no token', () => {
  const sockets = /^(node:(net|http|https|http2|tls|dgram|child_process)|undici|ws|uWebSockets\.js)$/;
  const policy = /^(jose|lru-cache|zod|piscina)$/;
  assert.deepEqual(
    objections('workers', (_file, { target }) => (sockets.test(target) ? 'sockets belong to the front' : undefined)),
    [],
  );
  assert.deepEqual(
    objections('src/request', (_file, { target }) => (policy.test(target) ? 'policy belongs to workers' : undefined)),
    [],
  );
});

test('only the command line knows the examples, nothing that ships knows tests or benchmarks', () => {
  const judge = (file: string, { target }: Import) => {
    if (/^(test|bench)\//.test(target)) return 'not shipped';
    return target.startsWith('examples/') && !file.startsWith('src/cli/') ? 'an example' : undefined;
  };
  assert.deepEqual(
    ['src', 'workers', 'native'].flatMap((folder) => objections(folder, judge)),
    [],
  );
});

test('builtin modules are named with their prefix', () => {
  const bare =
    /^(assert|buffer|child_process|crypto|events|fs|http|https|net|os|path|stream|tls|url|util|v8|zlib)(\/|$)/;
  const judge = (_file: string, { target }: Import) => (bare.test(target) ? 'write node: before it' : undefined);
  assert.deepEqual(
    ['src', 'workers', 'native', 'test', 'bench', 'examples'].flatMap((folder) => objections(folder, judge)),
    [],
  );
});

test(`no source is longer than ${LONGEST_FILE} lines`, () => {
  const folders = ['src', 'workers', 'native', 'test', 'bench', 'examples', 'scripts'];
  const long = folders
    .flatMap((folder) => sourcesBelow(folder, ['.ts', '.mjs', '.cc', '.cpp', '.h', '.hpp']))
    .map((file) => ({ file, lines: readSource(file).split('\n').length - 1 }))
    .filter(({ lines }) => lines > LONGEST_FILE);
  assert.deepEqual(long, []);
});

test('the reader of imports sees every form', () => {
  const text = [
    "import { a, type B } from './a.js';",
    "import type { C } from '../protocol/c.js';",
    "import { type D, type E } from './d.js';",
    "export { f } from 'node:fs';",
    'import {\n  g,\n  h,\n} from "../g.js";',
    "import './side.js';",
    "const late = await import('./late.js');",
    "const thread = new URL('./thread.cjs', import.meta.url);",
  ].join('\n');
  assert.deepEqual(importsOf('src/request/x.ts', text), [
    { target: 'src/request/a.ts', typeOnly: false },
    { target: 'src/protocol/c.ts', typeOnly: true },
    { target: 'src/request/d.ts', typeOnly: true },
    { target: 'node:fs', typeOnly: false },
    { target: 'src/g.ts', typeOnly: false },
    { target: 'src/request/side.ts', typeOnly: false },
    { target: 'src/request/late.ts', typeOnly: false },
    { target: 'src/request/thread.cts', typeOnly: false },
  ]);
});
