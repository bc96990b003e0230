import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { hasCompiler } from './both.js';

const folder = mkdtempSync(join(tmpdir(), 'switchyard-build-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Where the shell finds a tool; for an interpreter behind a wrapper, the interpreter itself. */
function locate(tool: string): string {
  const script = tool === 'python3' ? 'python3 -c "import sys; print(sys.executable)"' : `command -v ${tool}`;
  return spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' }).stdout.trim();
}

/** A package with the sources of native/ and nothing built, and a PATH that has only `tools`. */
function stage(name: string, tools: readonly string[]): { root: string; path: string } {
  const root = join(folder, name);
  const path = join(root, 'bin');
  mkdirSync(path, { recursive: true });
  for (const tool of tools) symlinkSync(locate(tool), join(path, tool));
  cpSync(join(packageRoot, 'package.json'), join(root, 'package.json'));
  symlinkSync(join(packageRoot, 'node_modules'), join(root, 'node_modules'));
  for (const script of ['build-native.mjs', 'lock.mjs']) {
    cpSync(join(packageRoot, 'scripts', script), join(root, 'scripts', script));
  }
  mkdirSync(join(root, 'native'));
  for (const file of readdirSync(join(packageRoot, 'native'))) {
    if (/\.(cc|c|h|gyp)$/.test(file)) cpSync(join(packageRoot, 'native', file), join(root, 'native', file));
  }
  const compiled = join(import.meta.dirname, '../..');
  cpSync(join(compiled, 'native'), join(root, 'dist/native'), { recursive: true });
  for (const file of ['codes.js', 'package-root.js']) cpSync(join(compiled, 'src', file), join(root, 'dist/src', file));
  return { root, path };
}

const run = (root: string, path: string, args: readonly string[], choice = '') =>
  spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: path,
      SWITCHYARD_DECODER: choice,
      PYTHON: '',
      npm_config_python: '',
      CC: undefined,
      CXX: undefined,
    },
  });

const REPORT =
  'import("./dist/native/index.js").then((n) => console.log(JSON.stringify([n.decoderKind, n.decoderReason, n.launcherPath()])))';

const cases: [missing: string, tools: string[], sentence: RegExp][] = [
  ['Python', [], /Python 3, which node-gyp needs, was not found\./],
  ['make', ['python3', 'node', 'sh'], /make was not found\./],
  [
    'a compiler',
    ['python3', 'node', 'sh', 'make', 'mkdir', 'touch', 'rm', 'ln', 'sed', 'grep'],
    /No C\+\+ compiler was found\./,
  ],
];

for (const [missing, tools, sentence] of hasCompiler ? cases : cases.slice(0, 1)) {
  test(`without ${missing} the build says so in one line, succeeds, and the gateway runs on TypeScript`, () => {
    const { root, path } = stage(missing.replace(' ', '-'), tools);
    for (const attempt of ['first', 'second']) {
      const build = run(root, path, ['scripts/build-native.mjs']);
      assert.equal(build.status, 0, build.stderr);
      const lines = build.stderr.split('\n').filter((line) => line !== '');
      if (attempt === 'second') assert.deepEqual(lines, [], 'what is known is not tried again');
      else {
        assert.equal(lines.length, 2, build.stderr);
        assert.match(lines[1] as string, sentence);
      }
    }
    const report = run(root, path, ['-e', REPORT]);
    const [kind, reason, launcher] = JSON.parse(report.stdout);
    assert.deepEqual([kind, launcher], ['typescript', null]);
    assert.match(reason, sentence);
    assert.equal(existsSync(join(root, 'native/build/Release/switchyard.node')), false);
    const forced = run(root, path, ['-e', REPORT], 'native');
    assert.notEqual(forced.status, 0);
    assert.match(forced.stderr, /SWITCHYARD_DECODER=native, but: The native addon was not built/);
  });
}

test('SWITCHYARD_DECODER=typescript leaves a built addon out, and an unknown value is refused', () => {
  const index = JSON.stringify(join(import.meta.dirname, '../../native/index.js'));
  const report = `import(${index}).then((n) => console.log(n.decoderKind, n.nativeDecoder, n.createDoorbell(() => {}).cell !== null))`;
  const env = (choice: string) => ({ ...process.env, SWITCHYARD_DECODER: choice });
  const typescript = spawnSync(process.execPath, ['-e', report], { encoding: 'utf8', env: env('typescript') });
  assert.equal(typescript.stdout, 'typescript null true\n');
  const unknown = spawnSync(process.execPath, ['-e', report], { encoding: 'utf8', env: env('fast') });
  assert.match(unknown.stderr, /SWITCHYARD_DECODER must be auto, native or typescript, not "fast"\./);
  assert.notEqual(unknown.status, 0);
});
