import { loadConfigFile } from '../config/load.js';
import { type Command, EXIT, type ExitCode, type Options, oneFile, readArguments } from './console/command.js';
import { maskWith, printError, printLine, printWarning, style, table } from './console/print.js';
import { requiredFile } from './files/config-file.js';
import type { TrialResult, TrialServer } from './trial.js';

const OPTIONS = {
  config: { type: 'string', short: 'c', value: 'FILE', help: 'the file; also without the flag' },
  json: { type: 'boolean', help: 'the result as one JSON document' },
} as const satisfies Options;

async function run(args: readonly string[]): Promise<ExitCode> {
  const { flags, files } = readArguments(args, OPTIONS);
  const file = requiredFile(oneFile(flags.config, files), 'check');
  const loaded = await loadConfigFile(file);
  maskWith(loaded);
  for (const warning of loaded.warnings) printWarning(warning);
  // Loaded here: help and problems of the configuration do not wait for the gateway.
  const { runTrial } = await import('./trial.js');
  const result = await runTrial(loaded, true);
  if (result === null) return EXIT.failed;
  const { servers, items, patternFaults, renamed, routeFaults } = result;
  const refused = items.filter(({ fault }) => fault !== '');
  if (flags.json) {
    const masked = (_key: string, value: unknown): unknown => (typeof value === 'string' ? loaded.mask(value) : value);
    printLine(JSON.stringify({ servers, refused, renamed, routes: routeFaults, patterns: patternFaults }, masked, 2));
  } else printTable(result, (text) => loaded.mask(text));
  return servers.every(({ isUp }) => isUp) ? EXIT.ok : EXIT.failed;
}

const HEADS = ['server', 'state', 'revision', 'tools', 'prompts', 'resources', 'time', 'reason'];

/** @param mask hides secrets of the configuration */
function printTable(result: TrialResult, mask: (text: string) => string): void {
  const { items, patternFaults, renamedCount, routeFaults, servers } = result;
  const rows = servers.flatMap(({ name, endpoints, offers, timeMs, isUp }) =>
    endpoints.map(({ state, revision, reason }, index) => {
      const counts = index > 0 ? ['', '', '', ''] : [offers.tools, offers.prompts, offers.resources, time(timeMs)];
      const shown = state === 'ready' && !isUp ? 'not listed' : state;
      return [index > 0 ? '' : mask(name), shown, revision ?? '-', ...counts.map(String), mask(reason)];
    }),
  );
  for (const line of table([HEADS, ...rows])) printLine(line);
  printLine();
  for (const { list, name, fault } of items) {
    if (fault !== '') printWarning(`${list}: ${name}: clients on the SDK refuse it: ${fault}`);
  }
  for (const line of servers.flatMap(clientUseOf)) printLine(mask(line));
  for (const { route, detail } of routeFaults) printWarning(mask(`route ${route} ${detail}`));
  for (const { path, detail } of patternFaults) printWarning(mask(`${path}: ${detail}`));
  if (renamedCount > 0) printLine(`${renamedCount} names are offered in another form; --json lists them.`);
  const up = servers.filter(({ isUp }) => isUp).length;
  const verdict = `${up} of ${servers.length} servers ready, ${items.filter(({ list }) => list === 'tools').length} tools`;
  if (up === servers.length) printLine(style('green', verdict));
  else printError(verdict);
}

/** What a server would do for clients that it can ask, where the configuration decides it. */
function clientUseOf({ name, isolation, endpoints, clientUse: { capabilities, tools } }: TrialServer): string[] {
  if (capabilities.length === 0 || isolation === 'session' || isolation === 'principal') return [];
  // Over Streamable HTTP clients with equal capabilities share a session that declares them.
  if (endpoints[0]?.transport === 'http') return [];
  const more = tools.length === 0 ? 'requests to clients' : `${tools.length} more tools (${tools.join(', ')})`;
  const who = `clients that declare ${capabilities.join(', ')}`;
  if (isolation === 'auto') return [`${name}: ${more} for ${who}, which get a child or connection of their own`];
  return [`${name}: would offer ${more} to ${who} with mcpServers.${name}.isolation: session (it is shared)`];
}

function time(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `switchyard check`. */
export const check: Command = {
  name: 'check',
  summary: 'connect to every server of a configuration',
  usage: ['[FILE] [--json]'],
  about: `Starts or connects to every server of a configuration, lists what it offers through the client of the MCP SDK, as clients
get it, and stops again. No port is opened, and no rule of the file is applied.
Without a file it takes that of the working folder.`,
  options: OPTIONS,
  notes: 'Exit codes: 0 all servers are ready, 1 one is not, 78 the configuration cannot be used.',
  examples: ['switchyard check switchyard.yaml', 'switchyard check --json claude_desktop_config.json | jq .servers'],
  run,
};
