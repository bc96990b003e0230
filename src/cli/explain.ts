import { Catalog } from '../catalog/index.js';
import { Manifest, ManifestError } from '../catalog/manifest.js';
import { compileSnapshot } from '../config/compile/index.js';
import { loadConfigFile } from '../config/load.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { ConfigError } from '../errors.js';
import type { ExplainBody } from '../explain/body.js';
import type { Explanation } from '../explain/index.js';
import { boundedRequest } from '../outbound/bounded-request.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import {
  type Command,
  EXIT,
  type ExitCode,
  type Options,
  oneFile,
  readArguments,
  UsageError,
} from './console/command.js';
import { maskWith, printError, printLine, printWarning, style, table } from './console/print.js';
import { requiredFile } from './files/config-file.js';

const OPTIONS = {
  config: { type: 'string', short: 'c', value: 'FILE', help: 'the file; also without the flag' },
  admin: {
    type: 'string',
    value: 'URL',
    help: 'ask a running gateway at its admin listener instead of reading a file',
  },
  as: { type: 'string', value: 'SUBJECT', help: 'who calls; without it the call has no credential' },
  scopes: { type: 'string', value: 'A,B', help: 'scopes of the client' },
  permissions: { type: 'string', value: 'A,B', help: 'permissions of the client: `read`, `write`' },
  tool: { type: 'string', value: 'NAME', help: 'the tool that is called' },
  prompt: { type: 'string', value: 'NAME', help: 'the prompt that is read' },
  resource: { type: 'string', value: 'URI', help: 'the resource that is read' },
  method: { type: 'string', value: 'METHOD', help: 'another method than the usual one, or one without a name' },
  header: { type: 'string', value: "'NAME: VALUE'", multiple: true, help: 'a header of the request; may be repeated' },
  path: { type: 'string', value: 'PATH', help: 'path of the endpoint, as `/users/mcp`' },
  argument: {
    type: 'string',
    value: "'/POINTER=VALUE'",
    multiple: true,
    help: 'an argument of the call, a JSON value or text; may be repeated',
  },
  address: { type: 'string', value: 'IP', help: 'address of the client; default `127.0.0.1`' },
  modern: { type: 'boolean', help: 'a client of 2026-07-28' },
  json: { type: 'boolean', help: 'the explanation as one JSON document' },
} as const satisfies Options;

/** Longest wait for a running gateway. */
const ADMIN_MS = 10_000;
/** Longest explanation of one. */
const MAX_EXPLANATION = 16 * 1024 * 1024;

async function run(args: readonly string[]): Promise<ExitCode> {
  // Loaded here, since the other commands do without the policy.
  const { callOf, explain: explainCall, QuestionError } = await import('../explain/index.js');
  try {
    const { flags, files, repeated } = readArguments(args, OPTIONS);
    const body: ExplainBody = {
      ...defined({
        as: flags.as,
        tool: flags.tool,
        prompt: flags.prompt,
        resource: flags.resource,
        method: flags.method,
      }),
      ...defined({ path: flags.path, address: flags.address, modern: flags.modern }),
      scopes: words(flags.scopes),
      permissions: words(flags.permissions),
      headers: Object.fromEntries(repeated.header.map(headerOf)),
      ...(repeated.argument.length === 0 ? {} : { arguments: argumentsOf(repeated.argument) }),
    };
    const call = callOf(body);
    let explanation: Explanation;
    if (flags.admin !== undefined) {
      if (files.length > 0 || flags.config !== undefined) throw new UsageError('give a file or --admin, not both');
      explanation = await askGateway(flags.admin, body);
    } else {
      const loaded = await loadConfigFile(requiredFile(oneFile(flags.config, files), 'explain'));
      maskWith(loaded);
      const snapshot = compileSnapshot(loaded);
      explanation = explainCall(call, snapshot, await listedCatalog(snapshot));
    }
    if (flags.json) printLine(JSON.stringify(explanation, null, 2));
    else printExplanation(explanation);
    return explanation.isAllowed ? EXIT.ok : EXIT.failed;
  } catch (error) {
    if (error instanceof ConfigError) for (const problem of error.problems) printError(problem);
    else if (error instanceof UsageError || error instanceof QuestionError) printError(error.message);
    else throw error;
    return EXIT.unusable;
  }
}

function defined<T extends object>(flags: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/[\s,]+/).filter((word) => word !== '');
}

function headerOf(line: string): [string, string] {
  const colon = line.indexOf(':');
  if (colon <= 0) throw new UsageError("--header is written as 'Name: value'");
  return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
}

/** The object that has each value at its pointer. */
function argumentsOf(lines: readonly string[]): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const line of lines) {
    const equals = line.indexOf('=');
    const tokens = line.slice(1, Math.max(equals, 0)).split('/');
    const last = tokens.pop();
    if (equals < 2 || !line.startsWith('/') || last === undefined) {
      throw new UsageError("--argument is written as '/pointer=value'");
    }
    let place = root;
    for (const token of tokens.map(unescaped)) {
      const inner = Object.hasOwn(place, token) ? place[token] : {};
      if (typeof inner !== 'object' || inner === null)
        throw new UsageError(`--argument ${line}: ${token} is a value already`);
      place[token] = inner;
      place = inner as Record<string, unknown>;
    }
    place[unescaped(last)] = jsonOrText(line.slice(equals + 1));
  }
  return root;
}

function unescaped(token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~');
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What the servers offered in the last run, as far as the manifest has it. */
async function listedCatalog(snapshot: Snapshot): Promise<CatalogTable> {
  const catalog = new Catalog(snapshot);
  await catalog.start();
  const path = snapshot.catalog.manifestFile;
  try {
    const manifest = typeof path === 'string' ? await Manifest.read(path, snapshot.limits.maxManifestBytes) : null;
    const missing: string[] = [];
    for (const [number, server] of snapshot.servers.entries()) {
      const lists = manifest?.listsOf(server, number) ?? null;
      if (lists === null) missing.push(server.name);
      else await catalog.update(lists);
    }
    if (missing.length > 0) {
      printWarning(`what ${missing.join(', ')} offers is not known: names are judged by their prefix alone`);
    }
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    printWarning(`the lists of the last run are not used: ${path} cannot be used, ${error.message}`);
  }
  return catalog.current.table;
}

async function askGateway(admin: string, body: ExplainBody): Promise<Explanation> {
  if (!URL.canParse(admin)) throw new UsageError('--admin must be a URL, as http://127.0.0.1:9090');
  const url = new URL('/explain', admin);
  try {
    const response = await boundedRequest(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      maxBytes: MAX_EXPLANATION,
      signal: AbortSignal.timeout(ADMIN_MS),
    });
    const answer = JSON.parse(response.body.toString('utf8')) as { error?: { message?: string } };
    if (response.status === 200) return answer as unknown as Explanation;
    throw new UsageError(`the gateway at ${url.origin} answers ${response.status}: ${answer.error?.message ?? ''}`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`there is no admin listener of a gateway at ${url.origin}: ${reason}`);
  }
}

function printExplanation(found: Explanation): void {
  const { client, method, name, refusal, view } = found;
  const verdict = refusal === null ? style('green', 'allowed') : style('red', `refused: ${refusal.code}`);
  printLine(`${method}${name === '' ? '' : ` ${name}`}: ${verdict}`);
  const rows: [string, string][] = view === null ? [] : [['view', view]];
  rows.push(['client', clientOf(client)]);
  if (refusal !== null) {
    rows.push(['because', refusal.sentence]);
    if (refusal.scopes.length > 0) rows.push(['', `scopes needed: ${refusal.scopes.join(' ')}`]);
    if (refusal.isHidden) rows.push(['', 'the client gets the answer for what does not exist (whenDenied: hide)']);
  }
  rows.push(['target', targetOf(found)], ['route', routeOf(found)]);
  for (const { route, lacks } of found.passedOver) rows.push(['', `not ${route}: the ${lacks} does not match`]);
  if (found.alsoNeeded.length > 0) rows.push(['', `other names of the target: ${found.alsoNeeded.join(', ')}`]);
  rows.push(['permitted by', permittedBy(found)]);
  const limits = found.limits.map(({ key, limit }) => `${key}: ${limit}`);
  rows.push(['limits', limits[0] ?? 'none'], ...limits.slice(1).map((text): [string, string] => ['', text]));
  if (refusal === null) {
    rows.push([
      'cache',
      found.cache === null
        ? `not stored: ${found.notStored}`
        : `${found.cache.ttlMs} ms${found.cache.public ? ', shared' : ''}`,
    ]);
    if (found.variant !== null) rows.push(['variant', variantOf(found.variant)]);
    rows.push(['sent to', found.servers.join(', then ') || 'nobody: the gateway answers']);
    if (found.servers.length > 0) rows.push(['time limit', found.timeoutMs === 0 ? 'none' : `${found.timeoutMs} ms`]);
    rows.push(['rewritten', found.rewrites.join(', ') || 'nothing']);
  }
  for (const line of table(rows)) printLine(line);
}

function clientOf({ auth, permissions, scopes, subject }: Explanation['client']): string {
  if (auth === 'none') return 'anonymous (auth: none)';
  if (subject === null) return 'without a credential';
  const parts = [`scopes ${scopes.join(' ') || 'none'}`];
  if (permissions.length > 0) parts.push(`permissions ${permissions.join(' ')}`);
  return `${subject} (${parts.join(', ')})`;
}

function targetOf({ isAllowed, servers, target }: Explanation): string {
  if (target !== null) return `${target.own} of ${target.server}${target.isReading ? ', reads only' : ''}`;
  return isAllowed && servers.length > 0 ? 'not listed' : 'none';
}

function routeOf({ route }: Explanation): string {
  return route === null ? 'none' : `${route.name} (number ${route.position}): ${route.match.join('; ')}`;
}

function permittedBy({ permissions, requiredScopes }: Explanation): string {
  const parts = [
    ...(requiredScopes.length > 0 ? [`scopes ${requiredScopes.join(' ')}`] : []),
    ...(permissions.length > 0 ? [`permission ${permissions.join(' ')}`] : []),
  ];
  return parts.join(', ') || 'nothing is required';
}

function variantOf({ group, header, isRandom, share }: NonNullable<Explanation['variant']>): string {
  const parts = [`${group}, ${Math.round(share * 1000) / 10} % of the calls`];
  if (isRandom) parts.push('at random');
  if (header !== null) parts.push(`response header ${header}`);
  return parts.join('; ');
}

/** `switchyard explain`. */
export const explain: Command = {
  name: 'explain',
  summary: 'say which rules apply to a call, and why',
  usage: ['[FILE] [--as SUBJECT] (--tool NAME | --prompt NAME | --resource URI | --method METHOD)', '--admin URL ...'],
  about: `Says which rules of a configuration let a call in, allow, limit, cache and route it, and why. The decision is made by the code
of the gateway, from the file and what its servers offered in the last run, or in a running gateway (--admin). Nothing is called.
Without a file it takes that of the working folder.`,
  options: OPTIONS,
  notes: 'Exit codes: 0 the call is allowed, 1 it is refused, 2 the arguments or the configuration cannot be used.',
  examples: [
    'switchyard explain switchyard.yaml --as ann --scopes use --tool search__query',
    "switchyard explain --admin http://127.0.0.1:9090 --as ann --tool search__query --header 'X-Region: eu-west'",
  ],
  run,
};
