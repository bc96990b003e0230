/**
 * Writes what is made from the schema: schema/switchyard.schema.json and docs/configuration.md.
 * With `--check` it writes nothing and ends with 1 when a file differs.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../package-root.js';
import { schemaFile } from './json-schema.js';
import { referencePage } from './page.js';

const FILES: Readonly<Record<string, () => string>> = {
  'schema/switchyard.schema.json': schemaFile,
  'docs/configuration.md': referencePage,
};

function current(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

const checking = process.argv.includes('--check');
for (const [name, make] of Object.entries(FILES)) {
  const file = join(packageRoot, name);
  const text = make();
  if (current(file) === text) continue;
  if (checking) {
    process.stderr.write(`${name} differs from the schema; run: npm run generate\n`);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  process.stdout.write(`${name} written\n`);
}
