import type { ConfigOverrides } from '../config/compile/index.js';
import { FRONT_ENDS, LOG_LEVELS } from '../config/schema/index.js';
import type { Snapshot } from '../config/snapshot/index.js';
import type { RunningGateway } from '../control/running-gateway.js';
import { authority, clientUrl, listenSentence } from './console/addresses.js';
import {
  alternatives,
  type Command,
  choiceFlag,
  EXIT,
  type ExitCode,
  type Flags,
  levelFlag,
  numberFlag,
  type Options,
  oneFile,
  readArguments,
  UsageError,
} from './console/command.js';
import { maskWith, printError, printLine, printNote, printWarning } from './console/print.js';
import { StopSignals } from './console/stop-signals.js';
import { demoNotes } from './demo-notes.js';
import { FILE_NAMES, fileOfFolder } from './files/config-file.js';
import { StartConfig } from './files/start-config.js';

const OPTIONS = {
  config: {
    type: 'string',
    short: 'c',
    value: 'FILE',
    help: 'configuration: `.json`, `.jsonc`, `.yaml`, `.yml` or `.toml`; also without the flag',
  },
  demo: { type: 'boolean', help: 'run the demo, whatever the working folder has' },
  host: { type: 'string', value: 'HOST', help: 'address to bind to (default 127.0.0.1)' },
  port: {
    type: 'string',
    short: 'p',
    value: 'PORT',
    help: 'port of the MCP endpoint (default 8000; 0 = any free port)',
  },
  'admin-port': {
    type: 'string',
    value: 'PORT',
    help: 'port of the admin listener (default 9090; 0 = any free port); overrides `admin: false`',
  },
  'no-admin': { type: 'boolean', help: 'no admin listener' },
  workers: { type: 'string', value: 'N', help: 'policy workers, 1 to 64, or `auto`' },
  'log-level': { type: 'string', short: 'l', value: 'LEVEL', help: alternatives(LOG_LEVELS) },
  'json-logs': { type: 'boolean', help: 'log as JSON lines, also on a terminal' },
  'front-end': { type: 'string', value: 'NAME', help: alternatives(FRONT_ENDS) },
  'allow-unauthenticated': { type: 'boolean', help: 'permit a host other than loopback without `auth`' },
  stdio: {
    type: 'boolean',
    help: 'serve one more client on standard input and output; ends when it disconnects',
  },
  'no-http': { type: 'boolean', help: 'no port at all, with `--stdio`' },
} as const satisfies Options;

function readOverrides(flags: Flags<typeof OPTIONS>): ConfigOverrides {
  if (flags['no-admin'] && flags['admin-port'] !== undefined) {
    throw new UsageError('--no-admin and --admin-port contradict each other');
  }
  if (flags['no-http'] && flags.port !== undefined) throw new UsageError('--no-http and --port contradict each other');
  return {
    host: flags.host,
    port: flags['no-http'] ? false : numberFlag('port', flags.port, 0, 65_535),
    adminPort: flags['no-admin'] ? false : numberFlag('admin-port', flags['admin-port'], 0, 65_535),
    workers: flags.workers === 'auto' ? 'auto' : numberFlag('workers', flags.workers, 1, 64),
    logLevel: levelFlag(flags['log-level']),
    logFormat: flags['json-logs'] ? 'json' : undefined,
    frontEnd: choiceFlag('front-end', flags['front-end'], FRONT_ENDS),
    allowUnauthenticated: flags['allow-unauthenticated'],
  };
}

async function run(args: readonly string[]): Promise<ExitCode> {
  const { flags, files } = readArguments(args, OPTIONS);
  const named = oneFile(flags.config, files);
  if (flags['no-http'] && !flags.stdio) throw new UsageError('--no-http leaves no way in; add --stdio');
  if (flags.demo && named !== undefined) throw new UsageError('--demo and a configuration file contradict each other');
  const file = named ?? (flags.demo ? undefined : fileOfFolder());
  const config = new StartConfig(file, readOverrides(flags));
  try {
    const loaded = await config.load();
    maskWith(loaded);
    const snapshot = await config.compile(loaded);
    const json = snapshot.log.format === 'json' || (snapshot.log.format === 'auto' && process.stderr.isTTY !== true);
    if (named === undefined && flags.demo !== true) {
      printNote(
        file === undefined ? `this folder has no ${FILE_NAMES}; this is the demo` : `using ${file} of this folder`,
        json,
      );
    }
    for (const warning of loaded.warnings) printWarning(warning, json);
    return await serve(snapshot, config, flags.stdio === true);
  } finally {
    await config.close();
  }
}

/** @param stdio whether a client on standard input and output is served, too */
async function serve(snapshot: Snapshot, config: StartConfig, stdio: boolean): Promise<ExitCode> {
  const stopping = new StopSignals();
  let gateway: RunningGateway | null = null;
  let isReloadPending = false;
  stopping.onHangUp(() => {
    if (gateway === null) isReloadPending = true;
    else void reload(gateway, config);
  });
  try {
    // Loaded here: help, usage and configuration errors do not wait for the gateway.
    const { startGateway } = await import('../control/gateway.js');
    // A signal during the wait for upstreams ends it; the children end with this process.
    gateway = await Promise.race([startGateway(snapshot), stopping.first.then(() => null)]);
  } catch (error) {
    const sentence = listenSentence(error as NodeJS.ErrnoException, snapshot.host, snapshot.port);
    if (sentence === null) throw error;
    printError(sentence);
    return EXIT.failed;
  }
  if (gateway === null) return EXIT.ok;
  const running = gateway;
  // SIGHUP came during the start, perhaps after the file was read.
  if (isReloadPending) void reload(running, config);
  announce(running, stdio ? printNote : printLine, config.isDemo);
  await Promise.race([stopping.first, stdio ? serveClient(running) : NEVER]);
  await running.stop();
  return EXIT.ok;
}

const NEVER = new Promise<never>(() => {});

function announce(gateway: RunningGateway, print: (line: string) => void, isDemo: boolean): void {
  const { address, adminAddress } = gateway;
  const admin = adminAddress === null ? '' : ` (admin http://${authority(adminAddress)})`;
  if (address === null) {
    print(`switchyard serves standard input and output${admin}`);
    return;
  }
  print(`switchyard listening on http://${authority(address)}${gateway.snapshot.path}${admin}`);
  if (isDemo) for (const line of demoNotes(clientUrl(address))) print(line);
}

/** Reads the file again and applies it; problems go to the log, and the configuration stays. */
async function reload(gateway: RunningGateway, config: StartConfig): Promise<void> {
  let snapshot: Snapshot;
  try {
    snapshot = await config.reload();
  } catch (error) {
    gateway.reloadFailed(error);
    return;
  }
  // The gateway has logged it.
  await gateway.reload(snapshot).catch(() => {});
}

/** Serves the client on standard input and output; resolves when it has disconnected. */
async function serveClient(gateway: RunningGateway): Promise<void> {
  const { serveStdio } = await import('../request/accept/connection/stdio.js');
  const { limits } = gateway.snapshot;
  const token = process.env['SWITCHYARD_TOKEN'] ?? '';
  await serveStdio({ input: process.stdin, output: process.stdout, ...gateway.entry, limits, token }).ended;
}

/** `switchyard start`. */
export const start: Command = {
  name: 'start',
  summary: 'run the gateway, or a demo without a configuration',
  usage: ['[--config FILE] [OPTIONS]'],
  about: `Runs the gateway. Without a file it takes ${FILE_NAMES} of the working folder; without
that it runs a demo: two example servers behind one endpoint.
Options win over the file.`,
  options: OPTIONS,
  notes: `Prints one line on standard output once it accepts connections (with --stdio on standard error, because only
protocol messages go to standard output then); the log goes to standard error.
SIGHUP reads the file again: an invalid one changes nothing, and the log says why.
SIGTERM and SIGINT drain: requests in flight finish, then it ends with 0. A second signal ends it at once.
Exit codes: 0 stopped, 78 the configuration cannot be used, 1 anything else.`,
  examples: [
    'switchyard start',
    'switchyard start --config switchyard.yaml',
    'switchyard start -c switchyard.toml --port 8080 --log-level debug',
    'switchyard start -c switchyard.json --host 0.0.0.0 --no-admin --json-logs',
    'switchyard start -c switchyard.json --stdio --no-http --no-admin',
  ],
  run,
};
