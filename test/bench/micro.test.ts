import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { cases } from '../../bench/micro/cases/index.js';
import { callOfSize } from '../../bench/micro/cases/scan.js';
import { keep, runCase } from '../../bench/micro/runner.js';

const MAIN = join(resolve(import.meta.dirname, '../..'), 'bench/micro/main.js');

describe('the micro benchmarks', () => {
  it('measure the time of one operation, in enough samples', async () => {
    let ran = 0;
    const result = await runCase({
      name: 'busy',
      what: '',
      setup: () => ({
        run(times) {
          for (let i = 0; i < times; i++) {
            const end = process.hrtime.bigint() + 20_000n;
            while (process.hrtime.bigint() < end) keep(1);
          }
          ran += times;
        },
      }),
    });
    // The loop cannot be faster than the clock it watches.
    assert.ok(result.nsPerOperation >= 20_000, String(result.nsPerOperation));
    assert.ok(result.samples >= 128 && ran >= result.samples);
  });

  it('have names of their own', () => {
    assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
  });

  it('run, each of them', async () => {
    // Of those that differ in size only, the largest would take as long as all others together.
    for (const { name, setup } of cases.filter((subject) => subject.name !== 'routing 10000')) {
      const { close, run, runAsync } = await setup();
      try {
        if (run !== undefined) run(1);
        else await runAsync?.(1);
      } catch (error) {
        throw new Error(name, { cause: error });
      }
      await close?.();
    }
  });

  it('scan bodies that are JSON and about as long as said', () => {
    for (const size of [205, 1024, 10_240, 102_400]) {
      const body = callOfSize(size);
      assert.ok(Math.abs(body.length - size) < 80, `${body.length} for ${size}`);
      assert.equal(JSON.parse(body.toString()).params.name, 'files__read_text_file');
    }
  });

  it('run each case in a process of its own and print a table row', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, '--only', '^scan 0.2 KB$']);
    assert.match(
      stdout,
      /\| decode: envelope scan, 0\.2 KB.*\| [\d.,]+ \| ±[\d.]+ % \| 250 \| (met|missed) \| 201 bytes/,
    );
    assert.match(stdout, new RegExp(`Node ${process.version}`));
  });
});
