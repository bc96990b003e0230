import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { loadAddon } from '../../native/addon.js';
import { type Doorbells, nativeDoorbells, sharedDoorbells } from '../../native/doorbell.js';
import { SPAN_COUNT } from '../../native/layout.js';
import { hasCompiler } from './both.js';

const { addon } = loadAddon('auto', SPAN_COUNT);
const kinds: [name: string, choice: string, bells: Doorbells][] = [['shared memory', 'typescript', sharedDoorbells]];
if (addon !== null) kinds.push(['addon', 'native', nativeDoorbells(addon)]);

const index = join(import.meta.dirname, '../../native/index.js');

test('the bells of the addon are tested where a compiler is', () => {
  assert.equal(kinds.length, hasCompiler ? 2 : 1);
});

/** A thread that runs `body` with `native` (the module) and `workerData` in scope. */
function start(choice: string, body: string, data: object): Worker {
  const source = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.index).then(async (native) => { ${body} });`;
  const env = { ...process.env, SWITCHYARD_DECODER: choice };
  const worker = new Worker(source, { eval: true, env, workerData: { index, ...data } });
  return worker;
}

const message = (worker: Worker) =>
  new Promise<unknown>((resolve, reject) => worker.once('message', resolve).once('error', reject));

/** Resolves when `condition` holds, looking after each turn of the loop. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

for (const [name, choice, { createDoorbell, ring }] of kinds) {
  test(`${name}: a bell rings in its own thread, also when rung there`, async () => {
    let rung = 0;
    const keepAlive = setInterval(() => {}, 1000);
    const bell = createDoorbell(() => rung++);
    for (let round = 1; round <= 20; round++) {
      ring(bell.handle, bell.cell);
      await until(() => rung === round);
    }
    bell.close();
    bell.close();
    ring(bell.handle, bell.cell);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(rung, 20);
    clearInterval(keepAlive);
  });

  test(`${name}: every word that other threads leave before ringing is seen, and rings are merged`, async () => {
    const board = new SharedArrayBuffer(16);
    const words = new Int32Array(board);
    let seen = 0;
    let calls = 0;
    const bell = createDoorbell(() => {
      calls++;
      seen += Atomics.exchange(words, 0, 0);
    });
    const rings = 20_000;
    const workers = [1, 2, 3].map(() =>
      start(
        choice,
        `const words = new Int32Array(workerData.board);
         for (let round = 0; round < ${rings}; round++) {
           Atomics.add(words, 0, 1);
           native.ring(workerData.handle, workerData.cell);
         }`,
        { board, handle: bell.handle, cell: bell.cell },
      ),
    );
    await until(() => seen === 3 * rings);
    assert.ok(calls >= 1 && calls <= 3 * rings);
    await Promise.all(workers.map((worker) => worker.terminate()));
    bell.close();
  });

  test(`${name}: a thread that sleeps is woken, answers by a bell, and ends when nothing but its bell is left`, async () => {
    const board = new SharedArrayBuffer(16);
    const words = new Int32Array(board);
    let answers = 0;
    const bell = createDoorbell(() => {
      answers = Atomics.load(words, 1);
    });
    const worker = start(
      choice,
      `const words = new Int32Array(workerData.board);
       const alive = setInterval(() => {}, 1000);
       const bell = native.createDoorbell(() => {
         if (Atomics.load(words, 0) === 3) clearInterval(alive);
         Atomics.store(words, 1, Atomics.load(words, 0));
         native.ring(workerData.handle, workerData.cell);
       });
       parentPort.postMessage({ handle: bell.handle, cell: bell.cell });`,
      { board, handle: bell.handle, cell: bell.cell },
    );
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    const other = (await message(worker)) as { handle: number; cell: SharedArrayBuffer | null };
    for (let round = 1; round <= 3; round++) {
      Atomics.store(words, 0, round);
      ring(other.handle, other.cell);
      await until(() => answers === round);
    }
    assert.equal(await exited, 0);
    ring(other.handle, other.cell);
    bell.close();
  });

  test(`${name}: threads are terminated while they are being rung`, async () => {
    const victim = `
      let rung = 0;
      setInterval(() => {}, 1000);
      const bells = Array.from({ length: 40 }, () => native.createDoorbell(() => { rung++; if (rung % 7 === 0) bells[rung % 40].close(); }));
      parentPort.postMessage(bells.map(({ handle, cell }) => ({ handle, cell })));
      if (workerData.busy) for (;;) rung++;`;
    const bells: { handle: number; cell: SharedArrayBuffer | null }[] = [];
    for (let round = 0; round < 12; round++) {
      const worker = start(choice, victim, { busy: round % 3 === 0 });
      bells.push(...((await message(worker)) as typeof bells));
      // A second thread keeps ringing through the end of the first.
      const ringer = start(
        choice,
        `parentPort.postMessage('on'); for (let turn = 0; ; turn++) for (const { handle, cell } of workerData.bells) native.ring(handle, cell);`,
        { bells: bells.slice(-40) },
      );
      await message(ringer);
      for (let turn = 0; turn < 50; turn++) for (const { handle, cell } of bells) ring(handle, cell);
      const ended = worker.terminate();
      for (let turn = 0; turn < 50; turn++) for (const { handle, cell } of bells) ring(handle, cell);
      await ended;
      for (const { handle, cell } of bells) ring(handle, cell);
      await ringer.terminate();
    }
    assert.equal(bells.length, 12 * 40);
  });

  test(`${name}: an error thrown by onRing is an uncaught exception, and the process says so`, () => {
    const source = `
      const { createDoorbell, ring } = await import(${JSON.stringify(index)});
      process.on('uncaughtException', (error) => { console.log('caught', error.message); process.exit(7); });
      process.on('unhandledRejection', (error) => { console.log('caught', error.message); process.exit(7); });
      setInterval(() => {}, 1000);
      const bell = createDoorbell(() => { throw new Error('from the bell'); });
      ring(bell.handle, bell.cell);`;
    const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
      env: { ...process.env, SWITCHYARD_DECODER: choice },
      encoding: 'utf8',
    });
    assert.deepEqual([status, stdout], [7, 'caught from the bell\n']);
  });
}

test('addon: handles that were never given out ring nothing', () => {
  if (addon === null) return assert.ok(!hasCompiler);
  const values: unknown[] = [
    0,
    -1,
    1,
    4095,
    4097 * 4096,
    2 ** 53,
    -(2 ** 53),
    Number.NaN,
    Infinity,
    1.5,
    'x',
    null,
    undefined,
    {},
    2 ** 63,
  ];
  for (const value of values) {
    addon.ring(value as number);
    addon.closeDoorbell((typeof value === 'number' ? value : 0) as number);
  }
  assert.throws(() => addon.createDoorbell('no function' as unknown as () => void), TypeError);
});

test('addon: a slot that is used again does not answer to the old handle', async () => {
  if (addon === null) return assert.ok(!hasCompiler);
  const { createDoorbell, ring } = nativeDoorbells(addon);
  let wrong = 0;
  let right = 0;
  const first = createDoorbell(() => wrong++);
  first.close();
  const second = createDoorbell(() => right++);
  assert.notEqual(first.handle, second.handle);
  assert.equal(first.handle % 4096, second.handle % 4096);
  ring(first.handle);
  first.close();
  ring(second.handle);
  await until(() => right === 1);
  second.close();
  assert.equal(wrong, 0);
});

test('addon: the number of bells is bounded, and closed ones make room', async () => {
  if (addon === null) return assert.ok(!hasCompiler);
  const { createDoorbell } = nativeDoorbells(addon);
  const open: { close(): void }[] = [];
  assert.throws(() => {
    for (let count = 0; count < 5000; count++) open.push(createDoorbell(() => {}));
  }, RangeError);
  assert.ok(open.length > 4000 && open.length <= 4096);
  for (const bell of open) bell.close();
  await new Promise((resolve) => setImmediate(resolve));
  createDoorbell(() => {}).close();
});
