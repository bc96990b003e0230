import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fallbackWatcher, launcherPath } from '../../native/index.js';
import { hasCompiler } from './both.js';

const launcher = launcherPath();
const started: number[] = [];

after(() => {
  for (const pid of started) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {}
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function allGone(pids: readonly number[]): Promise<void> {
  for (let wait = 0; wait < 400 && pids.some(isAlive); wait++) await sleep(25);
  assert.deepEqual(pids.filter(isAlive), [], 'no process survives');
}

/** Reads lines `pid NUMBER` until there are `count`. */
async function pidsFrom(child: ChildProcess, count: number): Promise<number[]> {
  let text = '';
  const pids = () => [...text.matchAll(/^pid (\d+)$/gm)].map((match) => Number(match[1]));
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (pids().length >= count) break;
  }
  started.push(...pids());
  assert.equal(pids().length, count, text);
  return pids();
}

/** A child that neither end of input nor TERM, INT or HUP moves. */
const STUBBORN = `
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => {});
  process.stdin.resume();
  setInterval(() => {}, 1000);
  console.log('pid ' + process.pid);`;

/** Starts the launcher as a child of this process; closing `pipe` is the gateway's death. */
function launch(command: readonly string[], graceMs = 200) {
  assert.ok(launcher !== null);
  const child = spawn(launcher, ['-g', String(graceMs), '3', ...command], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  started.push(child.pid as number);
  const pipe = child.stdio[3] as import('node:net').Socket;
  pipe.on('error', () => {});
  child.stdin?.on('error', () => {});
  return { child, pipe, exited: once(child, 'exit') as Promise<[number | null, string | null]> };
}

test('the launcher is there where a compiler is', () => {
  assert.equal(launcher !== null, hasCompiler);
});

if (launcher !== null) {
  test('input, output and the exit code pass through', async () => {
    const { child, exited } = launch(['/bin/sh', '-c', 'cat; echo err >&2; exit 42']);
    child.stdin?.end('hello');
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    let errors = '';
    child.stderr?.on('data', (chunk) => {
      errors += chunk;
    });
    assert.deepEqual(await exited, [42, null]);
    await sleep(20);
    assert.deepEqual([output, errors], ['hello', 'err\n']);
  });

  test('a signal that ends the command is 128 plus its number', async () => {
    const { exited } = launch(['/bin/sh', '-c', 'kill -SEGV $$']);
    assert.deepEqual(await exited, [139, null]);
  });

  test('a command that cannot be started is a sentence and 127', async () => {
    const { child, exited } = launch(['/nonexistent/command']);
    let errors = '';
    child.stderr?.on('data', (chunk) => {
      errors += chunk;
    });
    assert.deepEqual(await exited, [127, null]);
    await sleep(20);
    assert.match(
      errors,
      /^switchyard-launcher: \/nonexistent\/command could not be started: No such file or directory\n$/,
    );
  });

  test('arguments reach the command as they are, without a shell, and without the pipe', async () => {
    const { child, exited } = launch([
      process.execPath,
      '-e',
      'const fs = require("fs"); let open = true; try { fs.fstatSync(3).isSocket() || (open = false); } catch { open = false; } console.log(JSON.stringify([process.argv.slice(1), open]));',
      '--',
      '$HOME; *',
      '',
      "it's",
    ]);
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    await exited;
    await sleep(20);
    assert.deepEqual(JSON.parse(output), [['$HOME; *', '', "it's"], false]);
  });

  test('wrong usage is refused', async () => {
    for (const args of [
      [],
      ['3'],
      ['x', 'true'],
      ['1', 'true'],
      ['-g', 'x', '3', 'true'],
      ['-g', '99999999', '3', 'true'],
      ['99', 'true'],
    ]) {
      const child: ChildProcess = spawn(launcher, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
      assert.deepEqual(await once(child, 'exit'), [64, null], args.join(' '));
    }
  });

  test('a child that ignores end of input and TERM is killed when the pipe breaks', async () => {
    const { child, pipe, exited } = launch([process.execPath, '-e', STUBBORN]);
    const pids = await pidsFrom(child, 1);
    child.stdin?.end();
    pipe.destroy();
    assert.deepEqual(await exited, [137, null]);
    await allGone(pids);
  });

  test('a child that heeds TERM ends by it, within the grace', async () => {
    const { child, pipe, exited } = launch(
      [
        process.execPath,
        '-e',
        'process.on("SIGTERM", () => process.exit(5)); setInterval(() => {}, 1000); console.log("pid " + process.pid)',
      ],
      60_000,
    );
    const pids = await pidsFrom(child, 1);
    pipe.destroy();
    assert.deepEqual(await exited, [5, null]);
    await allGone(pids);
  });

  test('grandchildren go too: of a shell, reparented ones, and ones with a session of their own', async () => {
    const script = `
      "$0" -e "$1" &
      ( "$0" -e "$1" & ) ;
      setsid "$0" -e "$1" &
      ( setsid "$0" -e "$1" & ) ;
      trap "" TERM
      echo "pid $$"
      wait; wait; sleep 1000`;
    const { child, pipe, exited } = launch(['/bin/sh', '-c', script, process.execPath, STUBBORN]);
    const pids = await pidsFrom(child, 5);
    pipe.destroy();
    await exited;
    await allGone(pids);
  });

  test('what a command leaves behind when it ends goes as well, and its exit code is kept', async () => {
    const script = '"$0" -e "$1" >/dev/null & (setsid "$0" -e "$1" &) ; sleep 0.4; echo "pid $!"; exit 3';
    const { child, exited } = launch(['/bin/sh', '-c', script, process.execPath, STUBBORN]);
    const pids = await pidsFrom(child, 2);
    assert.deepEqual(await exited, [3, null]);
    await allGone(pids);
  });

  test('TERM is passed on; a second one ends the grace', async () => {
    const { child, exited } = launch([process.execPath, '-e', STUBBORN], 60_000);
    const pids = await pidsFrom(child, 1);
    child.kill('SIGTERM');
    await sleep(100);
    assert.ok(pids.every(isAlive));
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [137, null]);
    await allGone(pids);
  });

  test('a gateway that is killed with SIGKILL leaves no process', async () => {
    const gateway = spawn(
      process.execPath,
      [
        '-e',
        `const { spawn } = require('node:child_process');
         const script = '"$0" -e "$1" & (setsid "$0" -e "$1" &) ; trap "" TERM; echo "pid $$"; wait; sleep 1000';
         const child = spawn(${JSON.stringify(launcher)}, ['-g', '100', '3', '/bin/sh', '-c', script, process.execPath, ${JSON.stringify(STUBBORN)}],
           { stdio: ['pipe', 'inherit', 'inherit', 'pipe'] });
         console.log('pid ' + child.pid);
         setInterval(() => {}, 1000);`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const pids = await pidsFrom(gateway, 4);
    gateway.kill('SIGKILL');
    await allGone(pids);
  });

  test('a launcher that is killed takes the command with it', async () => {
    const { child, exited } = launch([process.execPath, '-e', STUBBORN]);
    const pids = await pidsFrom(child, 1);
    child.kill('SIGKILL');
    await exited;
    await allGone(pids);
  });

  test('what the gateway writes into the pipe changes nothing', async () => {
    const { child, pipe, exited } = launch(['/bin/sh', '-c', 'echo "pid $$"; cat']);
    await pidsFrom(child, 1);
    pipe.write('x'.repeat(10_000));
    await sleep(100);
    assert.equal(child.exitCode, null);
    child.stdin?.end();
    assert.deepEqual(await exited, [0, null]);
  });
}

test('the watcher of the fallback kills the group when its input breaks, and no process after a line of input', async () => {
  for (const released of [false, true]) {
    const child = spawn(
      '/bin/sh',
      ['-c', '"$0" -e "$1" & trap "" TERM; echo "pid $$"; wait; sleep 1000', process.execPath, STUBBORN],
      {
        detached: true,
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    const pids = await pidsFrom(child, 2);
    const { command, args } = fallbackWatcher(child.pid as number, 1);
    const watcher = spawn(command, args, { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
    if (released) {
      watcher.stdin?.write('done\n');
      await once(watcher, 'exit');
      assert.ok(pids.every(isAlive));
      process.kill(-(child.pid as number), 'SIGKILL');
    } else watcher.stdin?.destroy();
    await allGone(pids);
  }
});

test('the watcher refuses numbers that would reach more than a child', () => {
  for (const group of [0, 1, -1, -5, 1.5, Number.NaN, Infinity])
    assert.throws(() => fallbackWatcher(group), RangeError);
});
