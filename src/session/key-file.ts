import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

const KEY_BYTES = 32;
/** Shortest key in characters, as for `sessions.secret`. */
const MIN_KEY = 32;
/** Longest key file in bytes. */
const MAX_KEY = 4_096;

const ADVICE = 'set sessions.keyFile to a place that can be written, or set sessions.secret';

/** The key file cannot be used. The message is its path and the reason, and ends with a remedy. */
export class KeyFileError extends Error {
  /** The message without the remedy. */
  readonly reason: string;

  constructor(reason: string, remedy: string = ADVICE) {
    super(`${reason}; ${remedy}`);
    this.reason = reason;
  }
}

/**
 * The secret kept in `path`; created at the first start (32 random bytes as base64url, mode 0600). The file is created
 * atomically: processes that start at the same time all read the key of the first one.
 *
 * @throws KeyFileError when the file cannot be read or written, is not a regular file, does not hold 32 to 4,096
 * characters of printable ASCII, or other users can access it
 */
export function readOrCreateKeyFile(path: string): string {
  const existing = readKey(path);
  if (existing !== null) return existing;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    create(path);
  } catch (error) {
    throw unwritable(path, error);
  }
  const key = readKey(path);
  if (key === null) throw new KeyFileError(`${path}: the session key file vanished while it was read`, 'try again');
  return key;
}

/**
 * Checks without writing whether {@link readOrCreateKeyFile} would succeed, as far as that can be checked.
 *
 * @returns null when it would, else the message of its error
 */
export function keyFileProblem(path: string): string | null {
  try {
    if (readKey(path) === null) checkWritable(path);
    return null;
  } catch (error) {
    if (error instanceof KeyFileError) return error.message;
    throw error;
  }
}

function create(path: string): void {
  const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    try {
      writeFileSync(file, `${randomBytes(KEY_BYTES).toString('base64url')}\n`);
      // Some file systems report a full device only here.
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // Unlike rename, link fails when the name exists: the key of another process is never replaced.
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  syncFolder(dirname(path));
}

/** Makes the new directory entry durable, on systems where folders can be synchronized. */
function syncFolder(folder: string): void {
  try {
    const handle = openSync(folder, 'r');
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch {
    // Only the durability of the name is missing.
  }
}

/** The key in a file; null when there is none. @throws KeyFileError when it cannot be used */
export function readKey(path: string): string | null {
  let file: number;
  try {
    // Without O_NONBLOCK, opening a named pipe blocks until it has a writer.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && !isLink(path)) return null;
    throw unreadable(path, code);
  }
  try {
    const status = fstatSync(file);
    if (!status.isFile()) throw new KeyFileError(`${path}: the session key file is not a regular file`);
    if (process.platform !== 'win32' && (status.mode & 0o077) !== 0) {
      throw new KeyFileError(
        `${path}: other users can access the session key file`,
        'it must be readable by its owner only (chmod 600)',
      );
    }
    const bytes = Buffer.alloc(MAX_KEY + 1);
    return keyOf(path, bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0)));
  } catch (error) {
    if (error instanceof KeyFileError) throw error;
    throw unreadable(path, (error as NodeJS.ErrnoException).code);
  } finally {
    closeSync(file);
  }
}

function keyOf(path: string, bytes: Buffer): string {
  const text = bytes.toString('latin1').trim();
  // After a power failure a file may be empty or filled with NUL.
  const isWhole = bytes.length <= MAX_KEY && text.length >= MIN_KEY && /^[\x20-\x7e]+$/.test(text);
  if (isWhole) return text;
  throw new KeyFileError(
    `${path}: the session key file must hold one line of ${MIN_KEY} characters to ${MAX_KEY} bytes of printable ASCII`,
    'delete it to have another one made (open sessions end), or restore it',
  );
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/** @throws KeyFileError when no file could be made at `path` */
function checkWritable(path: string): void {
  try {
    let folder = dirname(path);
    while (statSync(folder, { throwIfNoEntry: false }) === undefined && dirname(folder) !== folder) {
      folder = dirname(folder);
    }
    if (!statSync(folder).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
    accessSync(folder, constants.W_OK | constants.X_OK);
    // Some file systems do not count blocks and report zeros.
    const { blocks, bavail } = statfsSync(folder);
    if (blocks > 0 && bavail === 0) throw Object.assign(new Error(), { code: 'ENOSPC' });
  } catch (error) {
    throw unwritable(path, error);
  }
}

const READ_FAULTS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not read it',
  EISDIR: 'it is a folder',
  ELOOP: 'its links go round in a circle',
  ENOENT: 'it is a link to a file that does not exist',
  ENOTDIR: 'a part of its path is a file and no folder',
  EPERM: 'this user may not read it',
};

const WRITE_FAULTS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EDQUOT: 'the quota of this user is used up',
  EEXIST: 'a part of its path is a file and no folder',
  EFBIG: 'the file size limit of this process does not permit it',
  ENOSPC: 'the device is full',
  ENOTDIR: 'a part of its path is a file and no folder',
  ENOTSUP: 'its file system has no hard links',
  EPERM: 'this user may not write there, or its file system has no hard links',
  EROFS: 'the file system is read-only',
};

function unreadable(path: string, code: string | undefined): KeyFileError {
  const why = READ_FAULTS[code ?? ''] ?? code ?? 'unknown error';
  return new KeyFileError(`${path}: the session key file cannot be read (${why})`);
}

function unwritable(path: string, error: unknown): KeyFileError {
  const { code } = error as NodeJS.ErrnoException;
  const why = WRITE_FAULTS[code ?? ''] ?? code ?? 'unknown error';
  return new KeyFileError(`${path}: the session key file cannot be written (${why})`);
}
