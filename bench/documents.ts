import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../src/package-root.js';

/** Replaces what stands between two marks of a document. @returns what was done, for the terminal */
export function writeBetween(file: string, mark: string, text: string): string {
  const path = join(packageRoot, file);
  const from = `<!-- ${mark}:start -->`;
  const to = `<!-- ${mark}:end -->`;
  const old = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const start = old.indexOf(from);
  const end = old.indexOf(to);
  if (start < 0 || end < start) return `${file} has no ${from} ... ${to}: not written`;
  writeFileSync(path, `${old.slice(0, start + from.length)}\n${text.trim()}\n${old.slice(end)}`);
  return `${file}: ${mark} written`;
}
