import { mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const POLL_MS = 200;
/** A lock file without an owner's id in it is one whose owner died between creating and writing it. */
const EMPTY_AFTER_MS = 5_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Runs `work` while holding a lock file, so that two first starts do not install over each other.
 * A lock whose owner no longer runs is taken over.
 */
export async function withLock(file, say, work) {
  mkdirSync(dirname(file), { recursive: true });
  let announced = false;
  while (!acquire(file)) {
    if (takeOver(file)) continue;
    if (!announced) say('another start is preparing this checkout; waiting for it');
    announced = true;
    await pause(POLL_MS);
  }
  const release = () => rmSync(file, { force: true });
  process.on('exit', release);
  try {
    return await work();
  } finally {
    release();
    process.off('exit', release);
  }
}

function acquire(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Removes a lock whose owner is gone. Only one process may look and remove at a time,
 * or a second one would remove the lock that the first has just made its own.
 */
function takeOver(file) {
  const guard = `${file}.takeover`;
  try {
    mkdirSync(guard);
  } catch {
    if (ageMs(guard) > EMPTY_AFTER_MS) rmdirSync(guard);
    return false;
  }
  try {
    if (!abandoned(file)) return false;
    rmSync(file, { force: true });
    return true;
  } finally {
    rmdirSync(guard);
  }
}

function abandoned(file) {
  let owner;
  try {
    owner = Number(readFileSync(file, 'utf8'));
  } catch {
    return false;
  }
  if (!owner) return ageMs(file) > EMPTY_AFTER_MS;
  try {
    process.kill(owner, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function ageMs(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}
