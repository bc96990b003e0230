import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createGateway, type GatewayConfig } from '../../src/index.js';
import { type RunningProcess, startProcess, type TestScope, tempFolder } from './process.js';

/** The compiled command line of the same build as this helper, whichever folder that build went to. */
export const cliPath: string = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Where a gateway listens. */
export interface GatewayAddresses {
  /** The MCP endpoint, for example `http://127.0.0.1:40123/mcp`. */
  readonly url: string;
  /** The data port's origin, without a trailing slash. */
  readonly origin: string;
  readonly port: number;
  /** The admin listener's origin, without a trailing slash. */
  readonly adminUrl: string;
}

/** A gateway that runs as a child process. */
export interface RunningGateway extends GatewayAddresses {
  /** The configuration file; rewrite it to test a reload. */
  readonly configFile: string;
  readonly process: RunningProcess;
  /** Everything the gateway has printed. */
  readonly output: string;
  /** SIGTERM, then the exit code (null when it was killed by a signal). */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface StartGatewayOptions {
  /** Which front end to run; default: what the configuration says (`auto`). */
  frontEnd?: 'auto' | 'uws' | 'node';
  env?: Record<string, string | undefined>;
  /** The text of the configuration, in place of an object. */
  yaml?: string;
  /** Further arguments for `switchyard start`. */
  args?: readonly string[];
  /** How long the start may take, in milliseconds. Default 30,000. */
  startTimeoutMs?: number;
}

/** The line that `switchyard start` prints on standard output once it accepts connections. */
export const LISTENING =
  /^switchyard listening on (http:\/\/(?:\[[^\]]+\]|[^\s:/]+):(\d+))\/mcp(?: \(admin (http:\/\/[^\s)]+)\))?/;

/**
 * Writes the configuration to a file and starts `switchyard start` with it on ephemeral ports.
 * The process is killed when the test ends.
 * @throws with the gateway's output when it does not come up.
 */
export async function startGateway(
  scope: TestScope,
  config: object,
  options: StartGatewayOptions = {},
): Promise<RunningGateway> {
  const folder = await tempFolder(scope);
  const configFile = join(folder, options.yaml === undefined ? 'switchyard.json' : 'switchyard.yaml');
  const written = options.frontEnd === undefined ? config : { ...config, frontEnd: options.frontEnd };
  await writeFile(configFile, options.yaml ?? JSON.stringify(written, null, 2));
  const args = ['start', '--config', configFile, '--port', '0', '--admin-port', '0', ...(options.args ?? [])];
  const gateway = startProcess(scope, process.execPath, [cliPath, ...args], { env: options.env ?? {}, cwd: folder });
  const line = await gateway.waitForLine(LISTENING, options.startTimeoutMs ?? 30_000);
  const origin = line[1] as string;
  return {
    url: `${origin}/mcp`,
    origin,
    port: Number(line[2]),
    adminUrl: line[3] ?? '',
    configFile,
    process: gateway,
    get output() {
      return gateway.output;
    },
    async stop(signal = 'SIGTERM') {
      return (await gateway.stop(signal, 30_000)).code;
    },
  };
}

/**
 * Starts a gateway within this process on ephemeral ports, for a third of the processor time of {@link startGateway}: for tests
 * that need neither its process, nor its output, nor its file. It is stopped when the test ends.
 */
export async function gatewayHere(
  scope: TestScope,
  config: object,
  { frontEnd }: Pick<StartGatewayOptions, 'frontEnd'> = {},
): Promise<GatewayAddresses> {
  const { limits, ...rest }: GatewayConfig = config;
  const gateway = createGateway({
    log: { level: 'silent' },
    ...rest,
    // What a test has left in flight ends with it.
    limits: { drainMs: 0, ...limits },
    port: 0,
    admin: { port: 0 },
    ...(frontEnd === undefined ? {} : { frontEnd }),
  });
  scope.after(() => gateway.stop());
  await gateway.start();
  const url = gateway.url as string;
  const { port, host } = gateway.adminAddress as { port: number; host: string };
  return {
    url,
    origin: new URL(url).origin,
    port: Number(new URL(url).port),
    adminUrl: `http://${host}:${port}`,
  };
}
