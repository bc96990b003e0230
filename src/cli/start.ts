import { type ConfigOverrides, compileSnapshot } from '../config/compile/index.js';
import { type LoadedConfig, loadConfigFile, loadConfigObject } from '../config/load.js';
import type { Snapshot } from '../config/snapshot.js';
import type { RunningGateway } from '../control/running-gateway.js';
import { ConfigError } from '../errors.js';
import { authority, clientUrl, listenSentence } from './addresses.js';
import { type Command, choiceFlag, EXIT, numberFlag, oneFile, readArguments, UsageError } from './command.js';
import { demoNotes } from './demo-notes.js';
import { checkKeyFile } from './key-file.js';
import { maskWith, printError, printLine, printNote, printWarning } from './print.js';
import { StopSignals } from './stop-signals.js';

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  demo: { type: 'boolean' },
  host: { type: 'string' },
  port: { type: 'string', short: 'p' },
  'admin-port': { type: 'string' },
  'no-admin': { type: 'boolean' },
  workers: { type: 'string' },
  'log-level': { type: 'string' },
  'json-logs': { type: 'boolean' },
  'front-end': { type: 'string' },
  'allow-unauthenticated': { type: 'boolean' },
  stdio: { type: 'boolean' },
  'no-http': { type: 'boolean' },
} as const;

const HELP = `Usage: switchyard start [--config FILE] [OPTIONS]

Runs the gateway. Without a file it runs a demo: two example servers behind one endpoint.
Options win over the file.

Options:
  -c, --config FILE          configuration: .json, .jsonc, .yaml, .yml or .toml
      --demo                 run the demo
      --host HOST            address to bind to (default 127.0.0.1)
  -p, --port PORT            port of the MCP endpoint (default 8000; 0 = any free port)
      --admin-port PORT      port of the admin listener (default 9090; 0 = any free port)
      --no-admin             no admin listener
      --workers N            policy workers, 1 to 64, or auto
      --log-level LEVEL      fatal, error, warn, info, debug, trace or silent
      --json-logs            log as JSON lines, also on a terminal
      --front-end NAME       auto, uws or node
      --allow-unauthenticated
                             permit a host other than loopback without "auth"
      --stdio                serve one more client on standard input and output; ends when it is gone
      --no-http              no port at all, with --stdio

Prints one line on standard output once it accepts connections (with --stdio on standard error, because only
protocol messages go to standard output then); the log goes to standard error.
SIGHUP reads the file again: an invalid one changes nothing and is told in the log.
SIGTERM and SIGINT drain: requests in flight finish, then it ends with 0. A second signal ends it at once.
Exit codes: 0 stopped, 78 the configuration cannot be used, 1 anything else.

Examples:
  switchyard start
  switchyard start --config switchyard.yaml
  switchyard start -c switchyard.toml --port 8080 --log-level debug
  switchyard start -c switchyard.json --host 0.0.0.0 --no-admin --json-logs
  switchyard start -c switchyard.json --stdio --no-http --no-admin`;

interface Source {
  readonly loaded: LoadedConfig;
  readonly demo: { close(): Promise<void> } | null;
}

function readOverrides(flags: ReturnType<typeof readArguments<typeof OPTIONS>>['flags']): ConfigOverrides {
  if (flags['no-admin'] && flags['admin-port'] !== undefined) {
    throw new UsageError('--no-admin and --admin-port contradict each other');
  }
  if (flags['no-http'] && flags.port !== undefined) throw new UsageError('--no-http and --port contradict each other');
  return {
    host: flags.host,
    port: flags['no-http'] ? false : numberFlag('port', flags.port, 0, 65_535),
    adminPort: flags['no-admin'] ? false : numberFlag('admin-port', flags['admin-port'], 0, 65_535),
    workers: flags.workers === 'auto' ? 'auto' : numberFlag('workers', flags.workers, 1, 64),
    logLevel: choiceFlag('log-level', flags['log-level'], [
      'fatal',
      'error',
      'warn',
      'info',
      'debug',
      'trace',
      'silent',
    ]),
    logFormat: flags['json-logs'] ? 'json' : undefined,
    frontEnd: choiceFlag('front-end', flags['front-end'], ['auto', 'uws', 'node']),
    allowUnauthenticated: flags['allow-unauthenticated'],
  };
}

async function run(args: readonly string[]): Promise<number> {
  const { flags, files } = readArguments(args, OPTIONS);
  const file = oneFile(flags.config, files);
  if (flags['no-http'] && !flags.stdio) throw new UsageError('--no-http leaves no way in; add --stdio');
  if (flags.demo && file !== undefined) throw new UsageError('--demo and a configuration file contradict each other');
  const overrides = readOverrides(flags);
  const { loaded, demo } = await open(file);
  maskWith(loaded.mask);
  try {
    const snapshot = compileSnapshot(loaded, { overrides });
    await checkKeyFile(loaded, snapshot);
    const json = snapshot.log.format === 'json' || (snapshot.log.format === 'auto' && process.stderr.isTTY !== true);
    for (const warning of loaded.warnings) printWarning(warning, json);
    const reload = async (): Promise<Snapshot> => {
      if (file === undefined) throw new ConfigError(['the demo has no file to read again']);
      const changed = await loadConfigFile(file);
      const next = compileSnapshot(changed, { overrides });
      await checkKeyFile(changed, next);
      return next;
    };
    return await serve(snapshot, { isDemo: demo !== null, stdio: flags.stdio === true, reload });
  } finally {
    await demo?.close();
  }
}

async function open(file: string | undefined): Promise<Source> {
  if (file !== undefined) return { loaded: await loadConfigFile(file), demo: null };
  // Loaded here and not above: a real start needs none of the examples.
  const { startDemoServers } = await import('../../examples/demo.js');
  const demo = await startDemoServers();
  return { loaded: loadConfigObject(demo.config), demo };
}

interface Serving {
  readonly isDemo: boolean;
  /** A client on standard input and output is served, too. */
  readonly stdio: boolean;
  /** The configuration as the file has it now. @throws ConfigError */
  reload(): Promise<Snapshot>;
}

async function serve(snapshot: Snapshot, { isDemo, stdio, reload }: Serving): Promise<number> {
  const stopping = new StopSignals();
  let gateway: RunningGateway | null = null;
  let isAsked = false;
  stopping.onHangUp(() => {
    if (gateway === null) isAsked = true;
    else void follow(gateway, reload);
  });
  try {
    // Help, usage and configuration errors answer at once because the gateway itself is loaded only here.
    const { startGateway } = await import('../control/gateway.js');
    // A signal while upstreams are waited for ends the wait; the children end with this process.
    gateway = await Promise.race([startGateway(snapshot), stopping.first.then(() => null)]);
  } catch (error) {
    const sentence = listenSentence(error as NodeJS.ErrnoException, snapshot.host, snapshot.port);
    if (sentence === null) throw error;
    printError(sentence);
    return EXIT.failed;
  }
  if (gateway === null) return EXIT.ok;
  const running = gateway;
  // The file may have been read before it changed.
  if (isAsked) void follow(running, reload);
  announce(running, stdio ? printNote : printLine, isDemo);
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
  print(`switchyard listening on http://${authority(address)}/mcp${admin}`);
  if (isDemo) for (const line of demoNotes(clientUrl(address))) print(line);
}

/** Puts the file into force as it is now; what is wrong with it goes to the log, and changes nothing. */
async function follow(gateway: RunningGateway, reload: () => Promise<Snapshot>): Promise<void> {
  let snapshot: Snapshot;
  try {
    snapshot = await reload();
  } catch (error) {
    gateway.reloadFailed(error);
    return;
  }
  // The gateway has logged it.
  await gateway.reload(snapshot).catch(() => {});
}

/** Resolves when the client on standard input and output is gone. */
async function serveClient(gateway: RunningGateway): Promise<void> {
  const { serveStdio } = await import('../request/accept/connection/stdio.js');
  const { limits } = gateway.snapshot;
  const token = process.env['SWITCHYARD_TOKEN'] ?? '';
  await serveStdio({ input: process.stdin, output: process.stdout, ...gateway.connectionParts, limits, token }).ended;
}

/** `switchyard start`. */
export const start: Command = {
  name: 'start',
  summary: 'run the gateway (a demo without a configuration)',
  help: HELP,
  run,
};
