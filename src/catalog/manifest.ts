/**
 * The manifest: the lists of all servers as an earlier run has read them, in a file. Items are kept as raw bytes, as in
 * discoveries.
 */
import { isUtf8 } from 'node:buffer';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isTombstone, upstreamFingerprint } from '../config/numbering.js';
import type { ServerSnapshot } from '../config/snapshot/index.js';
import { findMember, JsonCursor } from '../protocol/json-cursor.js';
import { Era, REVISIONS } from '../protocol/revisions.js';
import { NO_ITEMS, type Packed } from '../shared/packed.js';
import type { Bytes } from '../units.js';
import { readPage } from '../upstream/core/lists/page.js';
import type { Discovery } from '../upstream/core/types.js';
import { LISTS } from './items/list-names.js';
import { isObject } from './items/shapes.js';

const FORMAT = 1;
const SALT_BYTES = 16;

/** The manifest cannot be used. The message says why, as a clause. */
export class ManifestError extends Error {}

/** A discovery without the number of its server, which another run may count differently. */
type StoredLists = Omit<Discovery, 'server'>;

interface StoredServer {
  /** Of the configuration that the server had. */
  readonly hash: string;
  readonly lists: StoredLists;
  /** See `ManifestEntry`. */
  readonly used: readonly string[];
}

/** By name of the server. */
type StoredServers = ReadonlyMap<string, StoredServer>;

/** The content of a manifest. Immutable. */
export class Manifest {
  /** Without it, equal configurations of two gateways would have equal digests. */
  readonly salt: string;
  /** Digest of the file. */
  readonly digest: string;
  readonly #servers: StoredServers;

  private constructor(salt: string, digest: string, servers: StoredServers) {
    this.salt = salt;
    this.digest = digest;
    this.#servers = servers;
  }

  /**
   * Reads a manifest.
   *
   * @returns null when there is no file
   * @throws ManifestError when the file cannot be read, is larger than `maxBytes`, is no manifest of this version, or other
   * users can write to it
   */
  static async read(path: string, maxBytes: Bytes): Promise<Manifest | null> {
    const bytes = await readFile(path, maxBytes);
    if (bytes === null) return null;
    try {
      return Manifest.#parse(bytes);
    } catch (error) {
      throw error instanceof ManifestError ? error : new ManifestError('it is broken');
    }
  }

  static #parse(bytes: Buffer): Manifest {
    if (!isUtf8(bytes)) throw new ManifestError('it is not UTF-8');
    const { format, salt, servers } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    if (format !== FORMAT) throw new ManifestError('it is of another version');
    if (typeof salt !== 'string' || !isObject(servers)) throw new ManifestError('it is broken');
    const found = new Map<string, StoredServer>();
    const place = findMember(bytes, 0, bytes.length, 'servers');
    const cursor = new JsonCursor(bytes, place?.start ?? 0);
    for (const [name, entry] of inFileOrder(cursor)) {
      const hash = isObject(entry) ? entry['hash'] : null;
      if (!isObject(entry) || typeof hash !== 'string') throw new ManifestError('it is broken');
      found.set(name, { hash, lists: storedLists(entry, bytes, cursor.start), used: storedUse(entry) });
    }
    return new Manifest(salt, digestOf(bytes), found);
  }

  /** Names of the servers whose lists it has. */
  get names(): readonly string[] {
    return [...this.#servers.keys()];
  }

  /**
   * The lists of a server.
   *
   * @param number the server's number in the snapshot
   * @returns null when there are none, or when they are those of another configuration of this server
   */
  listsOf(server: ServerSnapshot, number: number): Discovery | null {
    const entry = this.#entryOf(server);
    return entry === null ? null : { server: number, ...entry.lists };
  }

  /** Names of the client capabilities that a server made use of; none under another configuration of this server. */
  usedBy(server: ServerSnapshot): readonly string[] {
    return this.#entryOf(server)?.used ?? [];
  }

  #entryOf(server: ServerSnapshot): StoredServer | null {
    const entry = this.#servers.get(server.name);
    return entry?.hash === hashOf(this.salt, upstreamFingerprint(server)) ? entry : null;
  }
}

/** The lists of a server with the configuration that they were read under. */
export interface ManifestEntry {
  readonly server: ServerSnapshot;
  readonly lists: Discovery;
  /** Names of the client capabilities that it is known to make use of. */
  readonly used: readonly string[];
}

/**
 * The bytes of a manifest.
 *
 * @param salt that of the manifest before, or `newSalt()`
 * @param maxBytes entries that do not fit are left out
 * @returns the names of those that are left out, besides
 */
export function manifestBytes(
  salt: string,
  entries: readonly ManifestEntry[],
  maxBytes: Bytes,
): { bytes: Buffer; digest: string; omitted: string[] } {
  const head = Buffer.from(`{"format":${FORMAT},"salt":${JSON.stringify(salt)},"servers":{`);
  const tail = Buffer.from('}}\n');
  const parts: Buffer[] = [head];
  const omitted: string[] = [];
  let size = head.length + tail.length;
  for (const { server, lists, used } of entries) {
    if (isTombstone(server)) continue;
    const entry = entryBytes(salt, server, lists, used, parts.length > 1);
    if (size + entry.length > maxBytes) {
      omitted.push(server.name);
      continue;
    }
    size += entry.length;
    parts.push(entry);
  }
  const bytes = Buffer.concat([...parts, tail]);
  return { bytes, digest: digestOf(bytes), omitted };
}

/** See {@link Manifest.salt}. */
export function newSalt(): string {
  return randomBytes(SALT_BYTES).toString('base64url');
}

/**
 * Writes a manifest that only its owner can read (0600), and its folder if there is none. Readers see the old file or the
 * new one.
 *
 * @throws Error with `code` when the file cannot be written
 */
export async function writeManifest(path: string, bytes: Buffer): Promise<void> {
  const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(draft, 'wx', 0o600);
  try {
    try {
      await file.writeFile(bytes);
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await unlink(draft).catch(() => {});
    throw error;
  }
}

function entryBytes(
  salt: string,
  server: ServerSnapshot,
  lists: Discovery,
  used: readonly string[],
  isLater: boolean,
): Buffer {
  const { era, revision, capabilities, instructions, serverInfo, cacheScope } = lists;
  const hash = hashOf(salt, upstreamFingerprint(server));
  const described = JSON.stringify({ hash, era, revision, capabilities, instructions, serverInfo, cacheScope, used });
  const parts: Buffer[] = [
    Buffer.from(`${isLater ? ',' : ''}${JSON.stringify(server.name)}:${described.slice(0, -1)}`),
  ];
  for (const list of LISTS) parts.push(Buffer.from(`,"${list}":[`), itemBytes(lists[list]), Buffer.from(']'));
  return Buffer.concat([...parts, Buffer.from('}')]);
}

/** The items with commas between them. */
function itemBytes({ bytes, offsets }: Packed): Buffer {
  const count = offsets.length - 1;
  const end = offsets[count] ?? 0;
  const joined = Buffer.alloc(count === 0 ? 0 : end + count - 1, ',');
  for (let index = 0; index < count; index += 1) {
    const start = offsets[index] ?? 0;
    joined.set(bytes.subarray(start, offsets[index + 1]), start + index);
  }
  return joined;
}

/** The members of the object at `cursor`, whose value the cursor is at. */
function* inFileOrder(cursor: JsonCursor): Generator<[name: string, value: unknown]> {
  while (cursor.next()) {
    const text = (start: number, end: number): string =>
      Buffer.from(cursor.bytes.subarray(start, end)).toString('utf8');
    const name = JSON.parse(text(cursor.keyStart - 1, cursor.keyEnd + 1)) as string;
    yield [name, JSON.parse(text(cursor.start, cursor.end))];
  }
}

function storedLists(entry: Record<string, unknown>, bytes: Buffer, start: number): StoredLists {
  const { era, revision, capabilities, instructions, serverInfo, cacheScope } = entry;
  const isValid =
    (era === Era.legacy || era === Era.modern) &&
    typeof revision === 'number' &&
    REVISIONS[revision] !== undefined &&
    isObject(capabilities) &&
    (instructions === null || typeof instructions === 'string') &&
    (serverInfo === null || isObject(serverInfo));
  if (!isValid) throw new ManifestError('it is broken');
  const items = (key: string): Packed => {
    const source = { bytes, result: start, key, maxItems: Number.MAX_SAFE_INTEGER, checkHeaders: false };
    const list = readPage(source).items;
    if (list === null) throw new ManifestError('it is broken');
    return list.offsets.length === 1 ? NO_ITEMS : list;
  };
  return {
    era: era as Era,
    revision,
    capabilities,
    instructions,
    serverInfo,
    tools: items('tools'),
    prompts: items('prompts'),
    resources: items('resources'),
    templates: items('templates'),
    ttlMs: 0,
    cacheScope: cacheScope === 'public' ? 'public' : 'private',
  };
}

/** Manifests of earlier versions do not have it. */
function storedUse({ used = [] }: Record<string, unknown>): string[] {
  if (!Array.isArray(used) || used.some((name) => typeof name !== 'string')) throw new ManifestError('it is broken');
  return used;
}

async function readFile(path: string, maxBytes: Bytes): Promise<Buffer | null> {
  try {
    // Without O_NONBLOCK, opening a named pipe blocks until it has a writer.
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const status = await file.stat();
      if (!status.isFile()) throw new ManifestError('it is not a regular file');
      if (process.platform !== 'win32' && (status.mode & 0o022) !== 0) {
        throw new ManifestError('other users can write to it');
      }
      if (status.size > maxBytes) throw new ManifestError('it is larger than limits.maxManifestBytes');
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof ManifestError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new ManifestError(`it cannot be read (${code ?? 'unknown error'})`);
  }
}

function hashOf(salt: string, fingerprint: string): string {
  return createHmac('sha256', salt).update(fingerprint).digest('base64url');
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('base64url');
}
