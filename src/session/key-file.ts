import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const KEY_BYTES = 32;

/**
 * The secret kept in `path`; made at the first start (32 random bytes as base64url, mode 0600). Several processes may
 * start at once: all get the key of the one that was first.
 *
 * @throws Error when the file cannot be read or written, holds less than 32 characters, or can be read by others
 */
export function readOrCreateKeyFile(path: string): string {
  const existing = read(path);
  if (existing !== null) return existing;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, `${randomBytes(KEY_BYTES).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  try {
    // link fails when the name exists, unlike rename: nobody's key is replaced, and nobody reads half of one.
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  const key = read(path);
  if (key === null) throw new Error(`${path}: the session key file vanished while it was read`);
  return key;
}

function read(path: string): string | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  if (text.length < 32) throw new Error(`${path}: the session key must have at least 32 characters`);
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
    throw new Error(`${path}: the session key file must be readable by its owner only (chmod 600)`);
  }
  return text;
}
