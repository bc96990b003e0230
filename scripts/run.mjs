// The one entry of every npm script. It needs nothing but Node, so that `npm start` and `npm test`
// can be the first and only command after a clone: it installs and builds what is missing, then runs.

const OLDEST_NODE = [20, 19];

const USAGE = `usage: node scripts/run.mjs COMMAND [ARGUMENTS]

  start [--config FILE ...]   run the gateway; without --config the demo
  switchyard ARGUMENTS        the command line; --help lists its commands
  test [PATTERN ...]          all tests, or the test files whose path contains a pattern
  check                       formatting, types, generated files
  build                       install and compile, run nothing
  generate                    rewrite the files that are generated from the source
  bench, bench:load           measurements of the parts, of the whole
  bench:changes               how long changes at upstreams take to reach clients
  bench:cost                  processor time by the bytes that a client sends, for what is made to be expensive
  bench:fairness              how long calls wait beside upstreams that flood
  bench:overload              goodput at three times the capacity, with and without the overload guard
  fuzz:native                 fuzz the native decoder under sanitizers
  soak [--minutes N]          clients of both families and upstreams that restart, for ten minutes
  conformance                 the official conformance suite against the gateway before every kind of server
`;

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  console.error(`switchyard needs Node ${OLDEST_NODE.join('.')} or newer; this is Node ${process.versions.node}.`);
  process.exit(1);
}

const { prepare, root } = await import('./prepare.mjs');
const { join } = await import('node:path');
const { pathToFileURL } = await import('node:url');
const { runProgram } = await import('./child.mjs');

/**
 * Runs a compiled program inside this process, so that signals, exit code, terminal and `kill -9` reach it directly.
 */
async function become(file, args) {
  if (process.env.npm_lifecycle_event !== undefined) joinRepeatedInterrupts();
  process.argv = [process.execPath, join(root, file), ...args];
  await import(pathToFileURL(join(root, file)).href);
}

/** Milliseconds within which two SIGINT are one key press. */
const SAME_KEY_PRESS = 250;

/**
 * A terminal sends Ctrl+C to every process of the foreground group, and npm forwards it once more: one key press would
 * count as two, and the second one stops the gateway at once.
 */
function joinRepeatedInterrupts() {
  const { emit } = process;
  let last = Number.NEGATIVE_INFINITY;
  process.emit = function joined(name, ...rest) {
    if (name === 'SIGINT') {
      const now = performance.now();
      const repeated = now - last < SAME_KEY_PRESS;
      last = now;
      if (repeated) return true;
    }
    return emit.call(this, name, ...rest);
  };
}

const compiled = (file) => runProgram(process.execPath, [join(root, 'dist', file), ...rest]);

const commands = {
  start: () => become('dist/src/cli/main.js', ['start', ...rest]),
  switchyard: () => become('dist/src/cli/main.js', rest),
  test: async () => (await import('./run-tests.mjs')).runTests(rest),
  check: async () => (await import('./check.mjs')).check(),
  build: async () => 0,
  generate: async () =>
    (await compiled('src/config/reference/generate.js')) || (await (await import('./check.mjs')).writePages()),
  bench: () => compiled('bench/micro/main.js'),
  'bench:load': () => compiled('bench/load/main.js'),
  'bench:changes': () => compiled('bench/changes.js'),
  'bench:cost': () => compiled('bench/cost.js'),
  'bench:fairness': () => compiled('bench/fairness.js'),
  'bench:overload': () => compiled('bench/overload.js'),
  'fuzz:native': () => runProgram('bash', [join(root, 'scripts/fuzz-native.sh'), ...rest]),
  conformance: () => compiled('test/conformance/main.js'),
  soak: () => compiled('test/soak/main.js'),
};

const [name, ...rest] = process.argv.slice(2);
if (name === undefined || !Object.hasOwn(commands, name)) {
  process.stderr.write(USAGE);
  process.exit(2);
}

try {
  await prepare({ retryNative: name === 'build' });
  const code = await commands[name]();
  if (code !== undefined) process.exitCode = code;
} catch (error) {
  console.error(`switchyard: ${error instanceof Error && error.expected ? error.message : (error?.stack ?? error)}`);
  process.exitCode = 1;
}
