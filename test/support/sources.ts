import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { packageRoot } from '../../src/package-root.js';

/** One import or re-export of a module. */
export interface Import {
  /** As written, for packages and `node:` modules; for relative ones the imported source file from the package root. */
  readonly target: string;
  /** Only types are taken: nothing of it remains at run time. */
  readonly typeOnly: boolean;
}

/** Files below a folder of the repository whose name ends in one of `extensions`, from the package root, sorted. */
export function sourcesBelow(folder: string, extensions: readonly string[] = ['.ts']): string[] {
  const found: string[] = [];
  const visit = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) {
        if (!['node_modules', 'build', 'dist'].includes(entry.name)) visit(join(path, entry.name));
      } else if (extensions.some((extension) => entry.name.endsWith(extension))) {
        found.push(relative(packageRoot, join(path, entry.name)).split(sep).join('/'));
      }
    }
  };
  visit(join(packageRoot, folder));
  return found.sort();
}

/** The text of a file of the repository. */
export function readSource(file: string): string {
  return readFileSync(join(packageRoot, file), 'utf8');
}

const STATEMENT = /^\s*(?:import|export)\s+(type\s+)?(?:([^;'"]*?)\s+from\s+)?['"]([^'"]+)['"]/gm;
const DYNAMIC = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;
/** The file that another thread starts with. */
const LOADED = /\bnew URL\(\s*['"](\.[^'"]+\.c?js)['"],\s*import\.meta\.url\s*\)/g;

/** Everything that a TypeScript source imports, static or dynamic, and the files that it loads by URL. */
export function importsOf(file: string, text: string = readSource(file)): Import[] {
  const imports: Import[] = [];
  for (const [, keyword, names = '', specifier = ''] of text.matchAll(STATEMENT)) {
    const braces = /^\{([\s\S]*)\}$/.exec(names.trim());
    const everyNameIsType =
      braces !== null &&
      (braces[1] ?? '')
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '')
        .every((name) => name.startsWith('type '));
    imports.push({ target: resolveTarget(file, specifier), typeOnly: keyword !== undefined || everyNameIsType });
  }
  for (const pattern of [DYNAMIC, LOADED]) {
    for (const [, specifier = ''] of text.matchAll(pattern)) {
      imports.push({ target: resolveTarget(file, specifier), typeOnly: false });
    }
  }
  return imports;
}

function resolveTarget(file: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  return normalize(join(dirname(file), specifier))
    .split(sep)
    .join('/')
    .replace(/\.(c?)js$/, '.$1ts');
}
