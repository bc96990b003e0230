import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type GatewayVariant, gatewayConfig, mintTokens } from './gateway-config.js';
import { peerFile } from './install.js';
import { start } from './processes.js';

/** How the upstream of a row is reached. */
export type Wire = 'http' | 'stdio';

/** A server under load: the upstream itself or a relay before it. */
export interface Target {
  /** As shown in the tables. */
  readonly name: string;
  readonly wire: Wire;
  readonly url: string;
  /** Names of the tools that are called, in turn. */
  readonly tools: readonly string[];
  /** Bearer tokens of its clients; empty = none needed. */
  readonly tokens: readonly string[];
  /** Root of the process tree that is measured. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** Where targets keep their files and where the compiled code lies. */
export interface Place {
  /** A temporary folder. */
  readonly scratch: string;
  /** The folder that holds `src/` and `bench/` in compiled form. */
  readonly build: string;
}

/** Marks the command lines of stdio upstreams. */
export const STDIO_UPSTREAM = /upstreams\/stdio\.js/;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

/** Names of the first `count` tools of an upstream, as it spells them. */
export function toolNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? 'echo' : `tool_${String(index).padStart(5, '0')}`));
}

/** How an upstream answers. */
export interface UpstreamKind {
  /** In front of the names of its rows; empty = none. */
  readonly prefix: string;
  readonly era: 'legacy' | 'both';
  /** Bytes of text in each answer besides the echo. */
  readonly padding: number;
}

/** Answers of some 200 bytes of a legacy server, which are relayed to legacy clients as they are. */
export const PLAIN: UpstreamKind = { prefix: '', era: 'legacy', padding: 0 };
/** The other kinds; the gateway prefers 2026-07-28, so that calls and answers are translated for the legacy clients. */
export const OTHER_KINDS: readonly UpstreamKind[] = [
  { prefix: 'translated: ', era: 'both', padding: 0 },
  { prefix: '17 KB: ', era: 'legacy', padding: 17_000 },
  { prefix: 'translated 17 KB: ', era: 'both', padding: 17_000 },
];

/** Starts the HTTP upstream; it is also the row `direct`. */
export async function startUpstream(place: Place, tools: number, kind: UpstreamKind = PLAIN): Promise<Target> {
  const started = await start({
    command: process.execPath,
    args: [
      join(place.build, 'bench/upstreams/http.js'),
      ...['--tools', String(tools), '--era', kind.era, '--padding', String(kind.padding)],
    ],
    ready: /listening on (\d+)/,
  });
  const url = `http://127.0.0.1:${started.announced}/mcp`;
  return {
    name: `${kind.prefix}direct`,
    wire: 'http',
    url,
    tools: ['echo'],
    tokens: [],
    pid: started.pid,
    stop: started.stop,
  };
}

function nginxConfig(port: number, upstream: URL, folder: string): string {
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 1000000000;
  upstream mcp {
    server ${upstream.host};
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`;
}

/** nginx as a plain reverse proxy: one worker, upstream connections kept, no log. */
export async function startNginx(place: Place, upstream: Target, prefix = ''): Promise<Target> {
  const folder = join(place.scratch, `nginx-${upstream.pid}`);
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfig(port, new URL(upstream.url), folder));
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
  const started = await start({ command: 'nginx', args: ['-p', folder, '-c', file], env, ready: port });
  const url = `http://127.0.0.1:${port}/mcp`;
  return {
    name: `${prefix}nginx`,
    wire: 'http',
    url,
    tools: ['echo'],
    tokens: [],
    pid: started.pid,
    stop: started.stop,
  };
}

/** `@civic/passthrough-mcp-server`, its command-line file started directly (a symlink to it does nothing). */
export async function startCivic(upstream: Target): Promise<Target> {
  const port = await freePort();
  const { origin } = new URL(upstream.url);
  const started = await start({
    command: process.execPath,
    args: [realpathSync(peerFile('@civic/passthrough-mcp-server', 'dist/cli.js'))],
    env: { PORT: String(port), TARGET_SERVER_URL: origin, TARGET_SERVER_TRANSPORT: 'httpStream' },
    ready: /running with httpStream/,
  });
  const url = `http://127.0.0.1:${port}/mcp`;
  return {
    name: 'civic passthrough',
    wire: 'http',
    url,
    tools: ['echo'],
    tokens: [],
    pid: started.pid,
    stop: started.stop,
  };
}

/** punkpeye's mcp-proxy before the stdio upstream, with its defaults. */
export async function startMcpProxy(place: Place, tools: number): Promise<Target> {
  const port = await freePort();
  const child = [process.execPath, join(place.build, 'bench/upstreams/stdio.js'), '--tools', String(tools)];
  const started = await start({
    command: process.execPath,
    args: [
      peerFile('mcp-proxy', 'dist/bin/mcp-proxy.mjs'),
      ...['--host', '127.0.0.1', '--port', String(port), '--server', 'stream', '--', ...child],
    ],
    ready: /starting server on port/,
  });
  const url = `http://127.0.0.1:${port}/mcp`;
  return {
    name: 'stdio: mcp-proxy',
    wire: 'stdio',
    url,
    tools: ['echo'],
    tokens: [],
    pid: started.pid,
    stop: started.stop,
  };
}

export interface GatewayOptions {
  readonly name: string;
  readonly variant: GatewayVariant;
  readonly wire: Wire;
  /** The HTTP upstream; used when `wire` is `http`. */
  readonly upstream: Target;
  /** Tools of the upstream, and how many of them are called in turn; default 10 and 1. */
  readonly tools?: number;
  readonly calledTools?: number;
  /** Distinct subjects with a token each (variants with authentication); default 64. */
  readonly clients?: number;
  /** Policy workers; default 1. */
  readonly workers?: number;
  /** The compiled gateway; default that of `place`. */
  readonly build?: string;
  /** Folder for CPU profiles of its threads, written when it ends. */
  readonly profiles?: string;
}

let configurations = 0;

/** This gateway before the HTTP or the stdio upstream. */
export async function startGateway(place: Place, options: GatewayOptions): Promise<Target> {
  const tools = options.tools ?? 10;
  const endpoint =
    options.wire === 'http'
      ? { url: options.upstream.url }
      : {
          command: process.execPath,
          args: [join(place.build, 'bench/upstreams/stdio.js'), '--tools', String(tools)],
        };
  const file = join(place.scratch, `gateway-${configurations++}.json`);
  writeFileSync(file, JSON.stringify(gatewayConfig(options.variant, endpoint, options.workers ?? 1), null, 2));
  const started = await start({
    command: process.execPath,
    args: [
      ...(options.profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profiles}`]),
      join(options.build ?? place.build, 'src/cli/main.js'),
      ...['start', '--config', file],
    ],
    cwd: place.scratch,
    ready: /switchyard listening on (http:\S+)/,
  });
  return {
    name: options.name,
    wire: options.wire,
    url: started.announced,
    tools: toolNames(options.calledTools ?? 1).map((name) => `bench__${name}`),
    tokens: options.variant === 'minimal' ? [] : await mintTokens(options.clients ?? 64),
    pid: started.pid,
    stop: started.stop,
  };
}
