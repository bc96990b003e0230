/**
 * Builds native/ with node-gyp when its sources, the compiler settings or Node's ABI have changed.
 * Where no compiler is found the gateway runs on the TypeScript decoder; this is no error.
 *
 *     node scripts/build-native.mjs [--force]
 */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = join(root, 'native');
const buildFolder = join(sources, 'build');
const stampFile = join(buildFolder, 'stamp.txt');
const reasonFile = join(buildFolder, 'reason.txt');
const pathFile = join(buildFolder, 'path.txt');
const lockFile = join(root, '.cache', 'native-build.lock');
const logFile = join(buildFolder, 'build.log');
const products = ['switchyard.node', 'switchyard-launcher'].map((name) => join(buildFolder, 'Release', name));
const require = createRequire(join(root, 'package.json'));

/** Milliseconds a build may take before it counts as failed; it needs about 30 s on two cores. */
const BUILD_LIMIT_MS = 600_000;

/** One digest of all that the products depend on. */
function stamp() {
  const hash = createHash('sha256');
  for (const name of readdirSync(sources).sort()) {
    if (/\.(cc|c|h|gyp)$/.test(name)) hash.update(name).update(readFileSync(join(sources, name)));
  }
  for (const dependency of ['simdjson', 'node-addon-api', 'node-gyp']) {
    hash.update(require(`${dependency}/package.json`).version);
  }
  hash.update([process.platform, process.arch, process.versions.modules, process.env.CXX, process.env.CC].join(' '));
  return hash.digest('hex');
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
}

/**
 * Runs node-gyp; resolves with its exit code and output. `configure` and `build` compile only changed sources and leave
 * the old addon in place until the new one is linked; `rebuild` removes it first.
 */
function nodeGyp(command) {
  const bin = join(dirname(require.resolve('node-gyp/package.json')), 'bin', 'node-gyp.js');
  const env = { ...process.env };
  const headers = join(dirname(dirname(process.execPath)), 'include', 'node', 'node_api.h');
  // The headers that came with this Node need no download.
  if (existsSync(headers)) env.npm_config_nodedir = dirname(dirname(dirname(headers)));
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, command, '--directory', sources, '--jobs', 'max'], {
      env,
      cwd: root,
    });
    const chunks = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), BUILD_LIMIT_MS);
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.on('error', (error) => chunks.push(Buffer.from(String(error))));
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output: Buffer.concat(chunks).toString() });
    });
  });
}

async function compile(force) {
  if (force || !existsSync(join(buildFolder, 'Makefile'))) return nodeGyp('rebuild');
  const configured = await nodeGyp('configure');
  return configured.code === 0 ? nodeGyp('build') : configured;
}

/** The output of node-gyp as one sentence. */
function explain(output) {
  if (/Could not find any Python/i.test(output)) return 'Python 3, which node-gyp needs, was not found.';
  if (/not found: make|make: (command )?not found|Error: not found: make/i.test(output)) return 'make was not found.';
  // make reports a missing command as 127; gyp, which runs the compiler named by CC to find its platform, by a trace.
  if (/\*\*\* .*Error 127\b|^FileNotFoundError:/m.test(output)) {
    return 'No C++ compiler was found.';
  }
  const line = output.split('\n').find((text) => /error: |\*\*\* |ERR! stack Error/.test(text));
  return `The compiler failed${line === undefined ? '' : `: ${line.replaceAll(root, '.').trim().slice(0, 160)}`}`;
}

/**
 * Builds the addon and the child launcher if needed. Never throws for want of a toolchain.
 *
 * @param {{ quiet?: boolean, force?: boolean }} [options] quiet prints nothing; force builds even when the stamp
 * says that nothing has changed
 * @returns {Promise<{ built: boolean, reason: string | null }>} built: the addon is there and current, from this or
 * an earlier run; reason: one sentence that says why it is not
 */
export async function buildNative({ quiet = false, force = false } = {}) {
  return (
    (force ? null : earlierResult()) ??
    withLock(
      lockFile,
      () => {},
      async () => (force ? null : earlierResult()) ?? build(quiet, force),
    )
  );
}

/** The result of an earlier run, if it is still valid. */
function earlierResult() {
  if (readIfThere(stampFile) !== stamp()) return null;
  if (products.every((file) => existsSync(file))) return { built: true, reason: null };
  const reason = readIfThere(reasonFile);
  // A failure holds as long as PATH is unchanged: a toolchain may have been installed since.
  return reason !== null && readIfThere(pathFile) === (process.env.PATH ?? '') ? { built: false, reason } : null;
}

async function build(quiet, force) {
  const say = (line) => quiet || console.error(line);
  say('switchyard: building the native addon (about half a minute, once) ...');
  const current = stamp();
  const { code, output } = await compile(force);
  mkdirSync(buildFolder, { recursive: true });
  writeFileSync(logFile, output);
  writeFileSync(stampFile, `${current}\n`);
  if (code === 0 && products.every((file) => existsSync(file))) {
    rmSync(reasonFile, { force: true });
    return { built: true, reason: null };
  }
  for (const file of products) rmSync(file, { force: true });
  const reason = `The native addon was not built: ${explain(output)}`;
  writeFileSync(reasonFile, `${reason}\n`);
  writeFileSync(pathFile, process.env.PATH ?? '');
  say(`switchyard: ${reason} The TypeScript decoder is used instead (details: ${relative(root, logFile)}).`);
  return { built: false, reason };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildNative({ force: process.argv.includes('--force') });
}
