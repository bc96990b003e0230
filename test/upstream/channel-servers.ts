/** The misbehaving server of fixtures/child.ts behind each channel, with a pool over it. */
import { fileURLToPath } from 'node:url';
import type { EndpointSnapshot, LimitsSnapshot, ServerSnapshot } from '../../src/config/snapshot/index.js';
import { type RunningProcess, startProcess, type TestScope } from '../support/process.js';
import { type PoolFixture, serverOf, sseOf, startPool, stdioOf, webSocketOf } from './fixture.js';

export type ChannelTransport = 'stdio' | 'sse' | 'websocket';

const CHILD = fileURLToPath(new URL('./fixtures/child.js', import.meta.url));

/** The server as a process of its own behind a URL. */
export interface UrlServer {
  readonly url: string;
  /** The running one. */
  readonly process: RunningProcess;
  /** Kills it and starts it again on the same port. */
  restart(): Promise<void>;
}

export async function startUrlServer(
  scope: TestScope,
  transport: 'sse' | 'websocket',
  mode = 'plain',
  env: Record<string, string> = {},
): Promise<UrlServer> {
  const start = async (port: number) => {
    const running = startProcess(scope, process.execPath, [CHILD, mode, transport], {
      env: { ...env, PORT: String(port) },
    });
    const [, url, bound] = await running.waitForLine(/^listening on (\w+:\/\/127\.0\.0\.1:(\d+)\S*)/);
    return { running, url: url as string, port: Number(bound) };
  };
  let current = await start(0);
  return {
    url: current.url,
    get process() {
      return current.running;
    },
    async restart() {
      await current.running.stop('SIGKILL');
      current = await start(current.port);
    },
  };
}

function endpointOf(transport: ChannelTransport, url: string, mode: string): EndpointSnapshot {
  if (transport === 'stdio') return stdioOf(process.execPath, [CHILD, mode]);
  return transport === 'sse' ? sseOf(url) : webSocketOf(url);
}

/** Starts the server, unless it is a child of the gateway. */
export async function channelEndpoint(
  scope: TestScope,
  transport: ChannelTransport,
  mode = 'plain',
): Promise<EndpointSnapshot> {
  const server = transport === 'stdio' ? null : await startUrlServer(scope, transport, mode);
  return endpointOf(transport, server?.url ?? '', mode);
}

/** Starts the server and a pool over it; does not wait for it to be ready. */
export async function startChannel(
  scope: TestScope,
  transport: ChannelTransport,
  mode: string,
  more: Partial<ServerSnapshot> = {},
  limits: Partial<LimitsSnapshot> = {},
): Promise<PoolFixture> {
  return startPool(scope, [serverOf([await channelEndpoint(scope, transport, mode)], more)], limits);
}
