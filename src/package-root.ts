import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) {
      const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string };
      if (name === 'mcp-switchyard') return folder;
    }
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json of mcp-switchyard not found above the compiled code');
    folder = parent;
  }
}

/** The folder that holds this package's package.json, wherever the compiled code lies below it. */
export const packageRoot: string = findPackageRoot();

/** The version of this package. */
export const packageVersion: string = (
  JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
).version;
