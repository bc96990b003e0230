import type { ProxyOptions, ProxyRules } from '../api/proxy.js';
import { loadConfigObject } from '../config/load.js';
import { LOG_LEVELS } from '../config/schema/index.js';
import { URL_TRANSPORTS } from '../config/schema/servers.js';
import { listenSentence } from './console/addresses.js';
import {
  type Arguments,
  alternatives,
  type Command,
  choiceFlag,
  EXIT,
  type ExitCode,
  levelFlag,
  numberFlag,
  type Options,
  readArguments,
  UsageError,
} from './console/command.js';
import { maskWith, printError, printLine } from './console/print.js';
import { StopSignals } from './console/stop-signals.js';
import { proxyFault } from './proxy-fault.js';

/** How clients reach the proxy. */
const CLIENT_TRANSPORTS = ['stdio', 'http', 'sse'] as const;

const OPTIONS = {
  transport: {
    type: 'string',
    short: 't',
    value: 'NAME',
    help: 'how clients reach it: `stdio` (default), `http` or `sse` (prints the `/sse` URL)',
  },
  port: { type: 'string', short: 'p', value: 'PORT', help: 'port for `http` and `sse` (default 0 = any free port)' },
  host: { type: 'string', value: 'HOST', help: 'address to bind to for `http` and `sse` (default 127.0.0.1)' },
  name: { type: 'string', value: 'NAME', help: 'name in `serverInfo` (default `proxy`)' },
  'transport-type': {
    type: 'string',
    value: 'NAME',
    help: `transport of the URL: ${alternatives(URL_TRANSPORTS)} (default: auto-detected)`,
  },
  header: {
    type: 'string',
    multiple: true,
    value: "'NAME: VALUE'",
    help: 'header of every request to the URL; may be repeated',
  },
  'bearer-env': {
    type: 'string',
    value: 'VAR',
    help: 'bearer token for the URL, from the environment variable VAR',
  },
  env: {
    type: 'string',
    multiple: true,
    value: 'NAME=VALUE',
    help: 'environment variable of the program; may be repeated',
  },
  cwd: { type: 'string', value: 'FOLDER', help: 'working directory of the program' },
  'log-level': { type: 'string', short: 'l', value: 'LEVEL', help: `${alternatives(LOG_LEVELS)} (default \`warn\`)` },
} as const satisfies Options;

const ONLY_URL = ['transport-type', 'header', 'bearer-env'] as const;
const ONLY_COMMAND = ['env', 'cwd'] as const;

async function run(args: readonly string[]): Promise<ExitCode> {
  const end = args.indexOf('--');
  const given = readArguments(end < 0 ? args : args.slice(0, end), OPTIONS);
  const { flags } = given;
  const words = end < 0 ? [] : args.slice(end + 1);
  const transport = choiceFlag('transport', flags.transport, CLIENT_TRANSPORTS) ?? 'stdio';
  if (transport === 'stdio' && (flags.port !== undefined || flags.host !== undefined)) {
    throw new UsageError('--port and --host need --transport http or sse');
  }
  const rules: ProxyRules = {
    ...(flags.name === undefined ? {} : { name: literal(flags.name) }),
    ...(flags.host === undefined ? {} : { host: literal(flags.host) }),
    port: transport === 'stdio' ? false : (numberFlag('port', flags.port, 0, 65_535) ?? 0),
    log: { level: levelFlag(flags['log-level']) ?? 'warn' },
  };
  const server = serverOf(given, words);
  return serve({ ...rules, ...server }, transport);
}

function serverOf({ flags, repeated, files: urls }: Arguments<typeof OPTIONS>, words: readonly string[]): ProxyOptions {
  const [url, ...more] = urls;
  const [command, ...args] = words;
  if (url !== undefined && command !== undefined) throw new UsageError('give a URL or a program, not both');
  if (more.length > 0) throw new UsageError('give one URL; a program and its arguments stand behind --');
  const misplaced = (url === undefined ? ONLY_URL : ONLY_COMMAND).filter((name) => flags[name] !== undefined);
  if (misplaced.length > 0) {
    throw new UsageError(`--${misplaced[0]} is for ${url === undefined ? 'a URL' : 'a program'}`);
  }
  if (command !== undefined) {
    const env = Object.fromEntries(repeated.env.map((text) => pair('env', text, '=')));
    const cwd = flags.cwd === undefined ? {} : { cwd: literal(flags.cwd) };
    return { command: literal(command), args: args.map(literal), env, ...cwd };
  }
  if (url === undefined) throw new UsageError('name the server: switchyard proxy URL, or switchyard proxy -- COMMAND');
  const headers = Object.fromEntries(repeated.header.map((text) => pair('header', text, ':')));
  const variable = flags['bearer-env'];
  if (variable !== undefined) headers['authorization'] = `Bearer ${bearer(variable)}`;
  const type = choiceFlag('transport-type', flags['transport-type'], URL_TRANSPORTS);
  return { url: literal(url), headers, ...(type === undefined ? {} : { transport: type }) };
}

/** Text of the command line without expansion of variables, which the shell has done. */
function literal(text: string): string {
  return text.replaceAll('${', () => '$${');
}

function pair(flag: string, text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  // Nothing of the text is quoted: it may be a secret.
  if (at < 1) throw new UsageError(`--${flag} needs the form ${flag === 'env' ? 'NAME=VALUE' : "'NAME: VALUE'"}`);
  const value = text.slice(at + 1);
  return [text.slice(0, at).trim(), literal(flag === 'env' ? value : value.trim())];
}

function bearer(variable: string): string {
  const token = process.env[variable] ?? '';
  if (token === '') throw new UsageError(`--bearer-env: the environment variable ${variable} is not set`);
  return literal(token);
}

async function serve(options: ProxyOptions, transport: (typeof CLIENT_TRANSPORTS)[number]): Promise<ExitCode> {
  const stopping = new StopSignals();
  // Loaded here: help and usage errors do not wait for it.
  const { createProxy, proxyConfig } = await import('../api/proxy.js');
  maskWith(loadConfigObject(proxyConfig(options)));
  const proxy = createProxy(options);
  try {
    const started = await Promise.race([proxy.start().then(() => true), stopping.first.then(() => false)]);
    if (!started) return EXIT.ok;
  } catch (error) {
    const sentence = listenSentence(error as NodeJS.ErrnoException, options.host ?? '127.0.0.1', options.port || 0);
    if (sentence === null) throw error;
    throw new UsageError(sentence);
  }
  const reason = await Promise.race([proxyFault(proxy), stopping.first.then(() => '')]);
  if (reason !== '') {
    await proxy.stop();
    printError(`the server is not available: ${reason}`);
    return EXIT.failed;
  }
  if (transport === 'stdio') {
    await Promise.race([stopping.first, proxy.serveStdio()]);
  } else {
    const url = proxy.url ?? '';
    printLine(`switchyard listening on ${transport === 'sse' ? url.replace(/\/mcp$/, '/sse') : url}`);
    await stopping.first;
  }
  await proxy.stop();
  return EXIT.ok;
}

/** `switchyard proxy`. */
export const proxy: Command = {
  name: 'proxy',
  summary: 'serve one server through another transport',
  usage: ['URL [OPTIONS]', '[OPTIONS] -- COMMAND [ARGUMENTS]'],
  about: `Re-exposes one MCP server through another transport: a remote server as a program that a desktop client starts,
or a program as a server on a port. Names stay as they are, and every method is passed on.`,
  options: OPTIONS,
  notes: `Over stdio only protocol messages go to standard output, the log goes to standard error, and it ends when standard
input ends. Over http and sse it prints the URL, and ends with SIGTERM or SIGINT. Requests in flight finish before.
Exit codes: 0 ended, 1 the server is not available or anything else failed, 78 the URL or the options cannot be used.`,
  examples: [
    'switchyard proxy https://search.example.com/mcp --bearer-env SEARCH_TOKEN',
    'switchyard proxy wss://tools.example.com/mcp',
    'switchyard proxy -- npx -y @modelcontextprotocol/server-memory',
    'switchyard proxy --transport http --port 8080 --env LOG=1 -- python server.py',
  ],
  run,
};
