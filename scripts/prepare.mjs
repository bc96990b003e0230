// Prepares a checkout: dependencies, native addon, compiled TypeScript. Each step writes a stamp of its inputs, so that the
// next start only compares stamps.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { runProgram } from './child.mjs';
import { withLock } from './lock.mjs';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const INSTALL_STAMP = join(root, 'node_modules/.switchyard-install');
const NATIVE_STAMP = join(root, '.cache/native-stamp');
const BUILD_STAMP = join(root, 'dist/.switchyard-build.json');
const LOCK = join(root, '.cache/prepare.lock');

/** An error that is printed as its sentence, without a stack. */
function expected(message) {
  return Object.assign(new Error(message), { expected: true });
}

function say(text) {
  process.stderr.write(`switchyard: ${text}\n`);
}

/**
 * Installs and builds what is missing or out of date. When nothing is, it prints nothing and takes milliseconds.
 * `retryNative` tries again to build an addon that could not be built before.
 */
export async function prepare({ retryNative = false } = {}) {
  const forceNative = retryNative && !existsSync(ADDON);
  if (installed() && nativeCurrent() && !forceNative && buildCurrent(listSources())) return;
  const started = performance.now();
  await withLock(LOCK, say, async () => {
    if (!installed()) await install();
    if (!nativeCurrent() || forceNative) await compileNative();
    const sources = listSources();
    if (!buildCurrent(sources)) await compile(sources);
  });
  say(`ready after ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

/** Runs a step with a line at its start and, while it lasts, one every ten seconds. */
async function step(number, text, work) {
  say(`${text} (${number}/3) ...`);
  const started = performance.now();
  const reminder = setInterval(
    () => say(`${text}: ${Math.round((performance.now() - started) / 1000)} s so far`),
    10_000,
  );
  try {
    return await work();
  } finally {
    clearInterval(reminder);
  }
}

const hashOf = (...parts) => createHash('sha256').update(parts.join('\0')).digest('hex');
const readOr = (file, otherwise) => (existsSync(file) ? readFileSync(file, 'utf8') : otherwise);

function writeStamp(file, content) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

// Dependencies

const PLATFORM = `${process.platform}-${process.arch}`;

/** The key of installed dependencies: the lock file, and the platform whose binaries were chosen. */
function installKey() {
  return `${hashOf(readFileSync(join(root, 'package-lock.json'), 'utf8'))} ${PLATFORM}`;
}

function installed() {
  const key = installKey();
  const stamp = readOr(INSTALL_STAMP, '');
  if (stamp === key) return true;
  const otherPlatform = stamp !== '' && !stamp.endsWith(` ${PLATFORM}`);
  if (otherPlatform || !recordMatchesLock()) return false;
  writeStamp(INSTALL_STAMP, key);
  return true;
}

/** Whether npm's record of node_modules has every package of the lock file, as after an `npm ci` by hand. */
function recordMatchesLock() {
  const record = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const present = JSON.parse(readFileSync(record, 'utf8')).packages;
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(locked).every(
    ([path, { version, integrity, optional }]) =>
      path === '' ||
      (present[path] === undefined && optional) ||
      (present[path]?.version === version && present[path].integrity === integrity),
  );
}

async function install() {
  rmSync(INSTALL_STAMP, { force: true });
  const npmFile = process.env.npm_execpath;
  const viaNode = npmFile !== undefined && /npm-cli\.[cm]?js$/.test(npmFile);
  // NODE_ENV=production would leave out the compiler.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const code = await step(1, 'installing dependencies', () =>
    runProgram(viaNode ? process.execPath : 'npm', viaNode ? [npmFile, ...args] : args, {
      cwd: root,
      // Standard output belongs to the program that is to run.
      stdio: ['ignore', 2, 2],
      shell: process.platform === 'win32' && !viaNode,
    }),
  );
  if (code !== 0) throw expected(`npm ci failed with exit code ${code}; its messages are above.`);
  writeStamp(INSTALL_STAMP, installKey());
}

// Native addon

const ADDON = join(root, 'native/build/Release/switchyard.node');

function nativeKey() {
  const files = filesBelow('native', (name) => /\.(cc|c|h|gyp)$/.test(name)).sort();
  const script = join(root, 'scripts/build-native.mjs');
  const contents = files.map((file) => readFileSync(join(root, file), 'utf8'));
  return hashOf(installKey(), process.versions.modules, readOr(script, ''), ...files, ...contents);
}

/** Whether the addon is current, or could not be built and PATH has not changed since. */
function nativeCurrent() {
  if (readOr(NATIVE_STAMP, '').split('\n')[0] !== nativeKey()) return false;
  return existsSync(ADDON) || readOr(NATIVE_STAMP, '').split('\n')[1] === process.env.PATH;
}

async function compileNative() {
  const script = join(root, 'scripts/build-native.mjs');
  if (existsSync(script)) {
    const { buildNative } = await import(pathToFileURL(script).href);
    const { built, reason } = await step(2, 'compiling the native decoder', () => buildNative({ quiet: true }));
    if (!built) say(`${reason} The TypeScript decoder does the same work more slowly.`);
  }
  // Written after a failure too, so that it is reported once.
  writeStamp(NATIVE_STAMP, `${nativeKey()}\n${process.env.PATH}`);
}

// TypeScript

const SOURCE_FOLDERS = ['src', 'workers', 'bench', 'test', 'examples'];

function filesBelow(folder, accept) {
  const found = [];
  const visit = (path) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.name === 'build' && path === join(root, 'native')) continue;
      if (entry.isDirectory()) visit(join(path, entry.name));
      else if (accept(entry.name)) found.push(relative(root, join(path, entry.name)));
    }
  };
  if (existsSync(join(root, folder))) visit(join(root, folder));
  return found;
}

/** Every TypeScript source, and a key that changes with any of them. */
function listSources() {
  const isSource = (name) => name.endsWith('.ts') && !name.endsWith('.d.ts');
  const files = [
    ...SOURCE_FOLDERS.flatMap((folder) => filesBelow(folder, isSource)),
    ...filesBelow('native', isSource),
    'tsconfig.json',
  ].sort();
  const lines = files.map((file) => {
    const { size, mtimeMs } = statSync(join(root, file));
    return `${file} ${size} ${mtimeMs}`;
  });
  return { files, key: hashOf(installKey(), ...lines) };
}

function readBuildStamp() {
  try {
    return JSON.parse(readFileSync(BUILD_STAMP, 'utf8'));
  } catch {
    return { key: '', files: [] };
  }
}

function buildCurrent(sources) {
  return readBuildStamp().key === sources.key;
}

async function compile(sources) {
  const before = readBuildStamp();
  const present = new Set(sources.files);
  for (const file of before.files.filter((name) => !present.has(name))) {
    const stem = join(root, 'dist', file.replace(/\.ts$/, ''));
    for (const extension of ['.js', '.js.map', '.d.ts']) rmSync(stem + extension, { force: true });
  }
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const code = await step(3, 'compiling TypeScript', () =>
    runProgram(process.execPath, [compiler, '-p', '.'], { cwd: root, stdio: ['ignore', 2, 2] }),
  );
  // The old list stays for the next attempt, which removes the outputs of deleted sources.
  if (code !== 0) {
    writeStamp(BUILD_STAMP, JSON.stringify({ key: '', files: [...new Set([...before.files, ...sources.files])] }));
    throw expected('the TypeScript sources do not compile; the messages are above.');
  }
  writeStamp(BUILD_STAMP, JSON.stringify({ key: sources.key, files: sources.files }));
}
