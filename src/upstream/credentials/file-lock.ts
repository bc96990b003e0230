/** Locks between processes, for work that must be done by one of them at a time. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Milliseconds } from '../../units.js';

/** A lock of this age has no owner any more; longer than any work that is done under one. */
const STALE_MS: Milliseconds = 60_000;
/** Pause between two tries. */
const RETRY_MS: Milliseconds = 20;

/** The lock was not free in time. */
export class LockTimeout extends Error {}

/**
 * Runs `work` while no other process does so under the same file. The lock of a process that has died is taken over at once
 * where it ran on this machine, and after a minute elsewhere.
 *
 * @param path of the lock file; its folder exists
 * @param timeoutMs longest wait for the lock
 * @throws LockTimeout, and what `work` throws
 */
export async function withFileLock<T>(path: string, timeoutMs: Milliseconds, work: () => Promise<T>): Promise<T> {
  const mark = `${process.pid} ${hostname()} ${randomBytes(8).toString('hex')}\n`;
  const deadline = performance.now() + timeoutMs;
  while (!(await take(path, mark))) {
    if (await breakStale(path)) continue;
    if (performance.now() >= deadline) throw new LockTimeout(`${path} is held by another process`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS * (0.5 + Math.random())));
  }
  try {
    return await work();
  } finally {
    await release(path, mark);
  }
}

async function take(path: string, mark: string): Promise<boolean> {
  try {
    await writeFile(path, mark, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Another process may have taken the lock over meanwhile, or hold it for a moment while it looks whose it is. */
async function release(path: string, mark: string): Promise<void> {
  for (let tries = 0; tries < 5; tries += 1) {
    const text = await textOf(path);
    if (text === mark) await unlink(path).catch(() => {});
    if (text !== null) return;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Removes the lock of an owner that is gone. @returns whether it did, or found none */
async function breakStale(path: string): Promise<boolean> {
  const before = await textOf(path);
  if (before === null) return true;
  if (!(await isStale(path, before))) return false;
  // Moved away first: of several processes that find it stale, one gets it.
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch {
    return true;
  }
  // Another process was faster, and this is its new lock: it is put back.
  if ((await textOf(aside)) !== before) await link(aside, path).catch(() => {});
  await unlink(aside).catch(() => {});
  return true;
}

async function isStale(path: string, text: string): Promise<boolean> {
  const [pid, host] = text.trim().split(' ');
  if (host === hostname() && !isAlive(Number(pid))) return (await textOf(path)) === text;
  const status = await stat(path).catch(() => null);
  return status !== null && Date.now() - status.mtimeMs > STALE_MS && (await textOf(path)) === text;
}

function isAlive(pid: number): boolean {
  // Not written completely yet.
  if (!(pid > 0)) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Null = there is no file. */
async function textOf(path: string): Promise<string | null> {
  return await readFile(path, 'utf8').catch(() => null);
}
