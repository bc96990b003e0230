import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';

/** A commit of this repository, built beside the checkout. */
export interface Revision {
  /** Short commit id. */
  readonly id: string;
  /** Folder of its compiled code. */
  readonly build: string;
}

/** Builds a commit in a worktree below `.cache/`; one that was built before is used again. */
export function buildRevision(name: string, log: (line: string) => void): Revision {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: packageRoot, encoding: 'utf8' }).trim();
  const id = git('rev-parse', '--short', `${name}^{commit}`);
  const folder = join(packageRoot, '.cache/bench-revisions', id);
  if (!existsSync(join(folder, 'package.json'))) {
    log(`checking out ${id} into .cache/bench-revisions`);
    mkdirSync(join(folder, '..'), { recursive: true });
    git('worktree', 'add', '--force', '--detach', folder, id);
    // Hard links: as good as a fresh install, and whatever its own build replaces does not touch this checkout.
    execFileSync('cp', ['-al', join(packageRoot, 'node_modules'), join(folder, 'node_modules')]);
  }
  log(`building ${id}`);
  execFileSync(process.execPath, ['scripts/run.mjs', 'build'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  return { id, build: join(folder, 'dist') };
}
