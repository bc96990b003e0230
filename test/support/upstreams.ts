import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../src/package-root.js';
import { JOURNAL_VARIABLE, type JournalEntry, readJournal } from './call-journal.js';
import { freePort, type RunningProcess, startProcess, type TestScope, tempFolder } from './process.js';

/** A value for `mcpServers.NAME` that starts a child. */
export interface StdioEntry {
  command: string;
  args: string[];
  env?: Record<string, string>;
}

/** A value for `mcpServers.NAME` that names an endpoint. */
export interface UrlEntry {
  url: string;
}

/** The main file of a command in node_modules, so that it runs under this Node without a shell or PATH. */
function commandFile(packageName: string): string {
  const require = createRequire(join(packageRoot, 'package.json'));
  const manifestPath = require.resolve(`${packageName}/package.json`);
  const { bin } = require(manifestPath) as { bin: string | Record<string, string> };
  const relative = typeof bin === 'string' ? bin : (Object.values(bin)[0] as string);
  return join(dirname(manifestPath), relative);
}

/** The reference server with everything in it, as a stdio child. */
export function everythingStdio(): StdioEntry {
  return { command: process.execPath, args: [commandFile('@modelcontextprotocol/server-everything'), 'stdio'] };
}

/** The reference server with everything in it, started on an ephemeral port. */
export async function everythingHttp(scope: TestScope): Promise<UrlEntry & { process: RunningProcess }> {
  const port = await freePort();
  const file = commandFile('@modelcontextprotocol/server-everything');
  const running = startProcess(scope, process.execPath, [file, 'streamableHttp'], { env: { PORT: String(port) } });
  await running.waitForLine(/listening on port \d+/);
  return { url: `http://127.0.0.1:${port}/mcp`, process: running };
}

/** The reference server with everything in it, over HTTP with SSE. */
export async function everythingSse(scope: TestScope): Promise<UrlEntry & { process: RunningProcess }> {
  const port = await freePort();
  const file = commandFile('@modelcontextprotocol/server-everything');
  const running = startProcess(scope, process.execPath, [file, 'sse'], { env: { PORT: String(port) } });
  await running.waitForLine(/running on port \d+/);
  return { url: `http://127.0.0.1:${port}/sse`, process: running };
}

/** The reference file server, confined to `folder`. */
export function filesystemServer(folder: string): StdioEntry {
  return { command: process.execPath, args: [commandFile('@modelcontextprotocol/server-filesystem'), folder] };
}

/** The reference knowledge-graph server, with its memory in a file of the test. */
export async function memoryServer(scope: TestScope): Promise<StdioEntry> {
  const folder = await tempFolder(scope);
  await mkdir(folder, { recursive: true });
  return {
    command: process.execPath,
    args: [commandFile('@modelcontextprotocol/server-memory')],
    env: { MEMORY_FILE_PATH: join(folder, 'memory.jsonl') },
  };
}

/** A test server whose calls can be counted from outside, whatever happens to its process. */
export interface CountingServer<Entry> {
  /** The value for `mcpServers.NAME`. */
  readonly entry: Entry;
  /** What it was asked to do, in order. */
  calls(name?: string): JournalEntry[];
}

export interface CountingHttpServer extends CountingServer<UrlEntry> {
  readonly url: string;
  /** The running server; replaced by `restart`. */
  readonly process: RunningProcess;
  /** Starts it again on the same port, after it was killed. */
  restart(): Promise<void>;
}

const testServer = (family: 'modern' | 'legacy'): string =>
  fileURLToPath(new URL(`./${family}-server.js`, import.meta.url));

async function newJournal(scope: TestScope) {
  const journal = join(await tempFolder(scope), 'calls.jsonl');
  const calls = (name?: string): JournalEntry[] =>
    readJournal(journal).filter((entry) => name === undefined || entry.name === name);
  return { journal, calls };
}

/** The test server of a protocol family as a stdio child. `dual` makes the modern one serve the older revisions too. */
export async function countingStdio(
  scope: TestScope,
  family: 'modern' | 'legacy',
  options: { dual?: boolean } = {},
): Promise<CountingServer<StdioEntry>> {
  const { journal, calls } = await newJournal(scope);
  const args = [testServer(family), 'stdio', ...(options.dual ? ['dual'] : [])];
  return { entry: { command: process.execPath, args, env: { [JOURNAL_VARIABLE]: journal } }, calls };
}

/** The test server of a protocol family over Streamable HTTP on an ephemeral port. */
export function countingHttp(
  scope: TestScope,
  family: 'modern' | 'legacy',
  options: { dual?: boolean } = {},
): Promise<CountingHttpServer> {
  return countingUrl(scope, family, 'http', options);
}

/** The test server of a protocol family behind a URL; `sse` is legacy only. */
export async function countingUrl(
  scope: TestScope,
  family: 'modern' | 'legacy',
  transport: 'http' | 'sse' | 'websocket',
  options: { dual?: boolean } = {},
): Promise<CountingHttpServer> {
  const { journal, calls } = await newJournal(scope);
  const args = [testServer(family), transport, ...(options.dual ? ['dual'] : [])];
  const start = async (port: number) => {
    const env = { PORT: String(port), [JOURNAL_VARIABLE]: journal };
    const running = startProcess(scope, process.execPath, args, { env });
    const [, url, bound] = await running.waitForLine(/^listening on ((?:http|ws):\/\/127\.0\.0\.1:(\d+)\/\w+)/);
    return { running, url: url as string, port: Number(bound) };
  };
  let current = await start(0);
  return {
    entry: { url: current.url },
    url: current.url,
    calls,
    get process() {
      return current.running;
    },
    async restart() {
      await current.running.stop('SIGKILL');
      current = await start(current.port);
    },
  };
}

/** A legacy server whose clients poll for the answers to their calls. */
export async function pollingServer(scope: TestScope): Promise<UrlEntry> {
  const file = fileURLToPath(new URL('./polling-server.js', import.meta.url));
  const running = startProcess(scope, process.execPath, [file]);
  const [, url] = await running.waitForLine(/^listening on (http:\S+)/);
  return { url: url as string };
}
