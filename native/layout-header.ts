/**
 * Renders `layout.h`, the C++ view of `layout.ts` and `keys.ts`; a test fails when the file and this text differ.
 * `node dist/native/layout-header.js` writes it.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../src/package-root.js';
import { KEYS_BY_LEVEL, Key } from './keys.js';
import { Flag, Kind, METHODS, Method, ScanStatus, SPAN_COUNT, Span } from './layout.js';

function constants(name: string, values: Readonly<Record<string, number>>): string {
  const members = Object.entries(values).map(([key, value]) => `  ${key} = ${value},`);
  return `namespace ${name} {\nenum : int32_t {\n${members.join('\n')}\n};\n}\n`;
}

function strings(name: string, values: readonly string[]): string {
  return `static const char* const ${name}[] = {\n${values.map((value) => `    "${value}",`).join('\n')}\n};\n`;
}

/** The text of `native/layout.h`. */
export function layoutHeader(): string {
  return [
    '// Generated from layout.ts and keys.ts by layout-header.ts. Do not edit.\n#pragma once\n',
    '#include <cstdint>\n',
    'namespace switchyard {\n',
    constants('Span', Span),
    `enum : int32_t { kSpanCount = ${SPAN_COUNT} };\n`,
    constants('Kind', Kind),
    constants('Flag', Flag),
    constants('ScanStatus', ScanStatus),
    constants('Method', Method),
    `enum : int32_t { kMethodCount = ${METHODS.length} };\n`,
    strings('kMethods', METHODS),
    `enum : int32_t { kKeyCount = ${KEYS_BY_LEVEL.flat().length} };\n`,
    '// Numbers of the keys that a scan looks at, see keys.ts.',
    constants('Key', Key),
    '}  // namespace switchyard\n',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(packageRoot, 'native', 'layout.h'), layoutHeader());
}
