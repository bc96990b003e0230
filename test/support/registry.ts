/** Packages that tests run beside the project's own, installed from the npm registry into `.cache` at the first run. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';

/** npm could not reach the registry. */
export class RegistryUnreachable extends Error {}

/** What npm says when there is no network, by the codes of the system; anything else is a mistake of ours or of theirs. */
export function isUnreachable(output: string): boolean {
  return /^npm (?:error|ERR!) code (?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT)$/m.test(output);
}

/** A process that has ended. */
export interface Finished {
  readonly code: number | null;
  /** Both streams in order of arrival. */
  readonly output: string;
}

/** Runs a program to its end. @param timeout milliseconds after which it is killed; 0 = never */
export function runToEnd(command: string, args: readonly string[], timeout = 0): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: packageRoot, stdio: ['ignore', 'pipe', 'pipe'], timeout });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    child.once('error', reject);
    // Ended for taking too long, which npm itself would call so.
    child.once('close', (code) => {
      resolve({ code, output: child.killed ? `${output}\nnpm error code ETIMEDOUT` : output });
    });
  });
}

/** How long one installation may take, milliseconds. */
const INSTALL_MS = 300_000;
/** npm's own patience is minutes. */
const FLAGS = [
  '--no-audit',
  '--no-fund',
  '--fetch-retries=1',
  '--fetch-retry-mintimeout=1000',
  '--fetch-timeout=30000',
];

/**
 * Runs npm in a folder that has a package.json.
 *
 * @throws RegistryUnreachable without a network, Error when npm fails otherwise
 */
export async function npm(folder: string, args: readonly string[]): Promise<void> {
  const { code, output } = await runToEnd('npm', [...args, '--prefix', folder, ...FLAGS], INSTALL_MS);
  if (code === 0) return;
  const message = `npm ${args.join(' ')} failed:\n${output}`;
  throw isUnreachable(output) ? new RegistryUnreachable(message) : new Error(message);
}

/** Public packages of one kind, as `test/peers/KIND/package-lock.json` has them. */
export class Peers {
  /** Where they are installed: bare imports of a module there find them. */
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Installs them unless they are there. No install script of theirs runs.
   *
   * @returns null without a network where SWITCHYARD_PEERS=off permits to go without
   * @throws RegistryUnreachable without a network, Error when npm fails otherwise
   */
  static async install(kind: 'servers' | 'clients', log: (line: string) => void): Promise<Peers | null> {
    const source = join(packageRoot, 'test/peers', kind);
    const folder = join(packageRoot, '.cache/peers', kind);
    const lock = readFileSync(join(source, 'package-lock.json'));
    const stamp = join(folder, 'installed');
    const wanted = createHash('sha256').update(lock).digest('hex');
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return new Peers(folder);
    log(`installing public ${kind} into .cache/peers/${kind}`);
    rmSync(stamp, { force: true });
    mkdirSync(folder, { recursive: true });
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(source, file), join(folder, file));
    try {
      // Not `ci`, which refuses a lock file without the optional dependencies that the registry does not have.
      await npm(folder, ['install', '--ignore-scripts']);
    } catch (error) {
      if (!(error instanceof RegistryUnreachable)) throw error;
      const advice = 'SWITCHYARD_PEERS=off leaves them out where there is no network.';
      if (process.env['SWITCHYARD_PEERS'] !== 'off') throw new RegistryUnreachable(`${error.message}\n${advice}`);
      log(`public ${kind} were NOT run: the npm registry cannot be reached, and SWITCHYARD_PEERS=off`);
      return null;
    }
    writeFileSync(stamp, wanted);
    return new Peers(folder);
  }

  /** Path of a file of a package. */
  file(name: string, file: string): string {
    return join(this.folder, 'node_modules', name, file);
  }

  /** Path of the program of a package that it names in `bin`. @param command default: its only one, or the first */
  program(name: string, command?: string): string {
    const { bin } = JSON.parse(readFileSync(this.file(name, 'package.json'), 'utf8')) as {
      bin: string | Record<string, string>;
    };
    const path = typeof bin === 'string' ? bin : (bin[command ?? Object.keys(bin)[0] ?? ''] ?? '');
    return this.file(name, path);
  }
}
