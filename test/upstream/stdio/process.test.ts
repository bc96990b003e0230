import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launcherPath } from '../../../native/index.js';
import { childEnvironment } from '../../../src/upstream/stdio/environment.js';
import { StdioProcess } from '../../../src/upstream/stdio/process.js';
import { eventually, isAlive, startProcess, type TestScope, tempFolder } from '../../support/process.js';

const CHILD = fileURLToPath(new URL('../fixtures/child.js', import.meta.url));
const PARENT = fileURLToPath(new URL('../fixtures/parent.js', import.meta.url));

/** Ways to guard a child that exist on this machine. */
const guards: ('launcher' | 'watcher')[] = launcherPath() === null ? ['watcher'] : ['launcher', 'watcher'];

function readPids(file: string): number[] {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];
}

async function bothAlive(scope: TestScope, file: string): Promise<number[]> {
  const pids = await eventually('the child and its child', () => {
    const found = readPids(file);
    return found.length === 2 ? found : null;
  });
  scope.after(() => {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone, as it should be.
      }
    }
  });
  return pids;
}

const allGone = (pids: readonly number[]): Promise<boolean> =>
  eventually('all processes have ended', async () => (await Promise.all(pids.map(isAlive))).every((alive) => !alive));

for (const guard of guards) {
  test(`${guard}: no process survives a gateway that is killed, not even one that ignores signals`, async (t) => {
    const file = join(await tempFolder(t), 'pids');
    const parent = startProcess(t, process.execPath, [PARENT, guard], { env: { PID_FILE: file } });
    await parent.waitForLine(/started/);
    const pids = await bothAlive(t, file);
    process.kill(parent.pid, 'SIGKILL');
    await parent.exited;
    assert.ok(await allGone(pids));
  });

  test(`${guard}: stopping goes from the end of input over TERM to KILL of the whole group`, async (t) => {
    const file = join(await tempFolder(t), 'pids');
    const ends: string[] = [];
    const child = new StdioProcess(
      {
        command: process.execPath,
        args: [CHILD, 'stubborn'],
        env: childEnvironment(process.env, { PID_FILE: file }),
        cwd: null,
      },
      200,
      { output: () => {}, errorOutput: () => {}, exited: (reason) => ends.push(reason) },
      guard === 'launcher' ? launcherPath() : null,
    );
    const pids = await bothAlive(t, file);
    await child.stop();
    assert.equal(ends.length, 1);
    assert.ok(await allGone(pids));
  });

  test(`${guard}: a child that ends with its input is not signalled`, async (t) => {
    const ends: string[] = [];
    const child = new StdioProcess(
      {
        command: process.execPath,
        args: [CHILD, 'plain'],
        env: childEnvironment(process.env, {}),
        cwd: await tempFolder(t),
      },
      10_000,
      { output: () => {}, errorOutput: () => {}, exited: (reason) => ends.push(reason) },
      guard === 'launcher' ? launcherPath() : null,
    );
    await child.stop();
    assert.deepEqual(ends, ['exited with code 0']);
  });

  test(`${guard}: what a child leaves behind in its group goes with it`, async (t) => {
    const file = join(await tempFolder(t), 'pids');
    const ends: string[] = [];
    const child = new StdioProcess(
      {
        command: process.execPath,
        args: [CHILD, 'stubborn'],
        env: childEnvironment(process.env, { PID_FILE: file }),
        cwd: null,
      },
      200,
      { output: () => {}, errorOutput: () => {}, exited: (reason) => ends.push(reason) },
      guard === 'launcher' ? launcherPath() : null,
    );
    const pids = await bothAlive(t, file);
    process.kill(pids[0]!, 'SIGKILL');
    await eventually('the end is reported', () => ends.length === 1);
    assert.ok(await allGone(pids));
    await child.stop();
  });
}
