import { join } from 'node:path';
import { runProgram } from './child.mjs';
import { root } from './prepare.mjs';

/** The scripts that write parts of the documents from tables of the sources; `--check` compares. */
const PAGES = ['scripts/errors-page.mjs', 'scripts/cli-page.mjs'];

/** Formatting and lint, types, and generated files; runs all of them and fails if one does. */
export async function check() {
  const node = (file, ...args) => [process.execPath, [join(root, file), ...args]];
  const steps = [
    ['formatting and lint', node('node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings')],
    ['types', node('node_modules/typescript/bin/tsc', '-p', '.', '--noEmit')],
  ];
  for (const generator of ['dist/src/config/reference/generate.js', ...PAGES]) {
    steps.push(['generated files', node(generator, '--check')]);
  }
  let failed = 0;
  for (const [what, [command, args]] of steps) {
    const code = await runProgram(command, args, { cwd: root });
    console.error(`switchyard: ${what}: ${code === 0 ? 'ok' : 'failed'}`);
    if (code !== 0) failed += 1;
  }
  return failed === 0 ? 0 : 1;
}

/** Writes those parts of the documents; gives the exit code. */
export async function writePages() {
  for (const page of PAGES) {
    const code = await runProgram(process.execPath, [join(root, page)]);
    if (code !== 0) return code;
  }
  return 0;
}
