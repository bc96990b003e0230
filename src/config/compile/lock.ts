/** The lockfile of a configuration: `catalog.pinning`. */
import { join, parse, resolve } from 'node:path';
import { LockError, readLock } from '../../catalog/pinning/lockfile.js';
import type { LoadedConfig } from '../loaded.js';
import type { Lock } from '../snapshot/pinning.js';
import type { Compilation } from './compilation.js';

/** Where the lockfile of a configuration is; null = it has no place, since the configuration has no file and names none. */
export function lockPath({ config: { catalog }, file, folder }: LoadedConfig): string | null {
  if (catalog.pinning?.lock !== undefined) return resolve(folder, catalog.pinning.lock);
  return file === null ? null : join(folder, `${parse(file).name}.lock.json`);
}

/** Reads the lockfile; null = nothing is pinned. */
export function compileLock(compilation: Compilation): Lock | null {
  const { loaded } = compilation;
  const { catalog, limits } = loaded.config;
  if (catalog.pinning === undefined) return null;
  const path = lockPath(loaded);
  if (path === null) {
    compilation.problem(['catalog', 'pinning'], 'needs "lock", since the configuration has no file');
    return null;
  }
  try {
    return readLock(path, limits.maxManifestBytes);
  } catch (error) {
    if (!(error instanceof LockError)) throw error;
    compilation.problem(['catalog', 'pinning'], error.message);
    return null;
  }
}
