/**
 * The gateway as a client of the suite's own servers: the suite starts this program with the URL of one of them, it puts
 * a gateway before it, and asks the gateway for everything that the server has, so that the suite sees the gateway's traffic.
 */
import { ElicitRequestSchema, ResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { createGateway } from '../../src/index.js';
import { eventually } from '../support/process.js';
import { type Message, modernRpc } from '../support/rpc.js';
import { connectV1 } from '../support/sdk-clients.js';

/** A call that a scenario asks for. */
interface Call {
  readonly name: string;
  readonly arguments: Record<string, unknown>;
}

type Ask = (method: string, params?: Record<string, unknown>, headers?: Record<string, string>) => Promise<Message>;

const REVISION = process.env['MCP_CONFORMANCE_PROTOCOL_VERSION'] ?? '2026-07-28';
const CONTEXT = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}') as { toolCalls?: Call[] };
/** Of questions that one call may ask. */
const MAX_ROUNDS = 5;
/** For the gateway to list the server's tools; not every server of the suite has any. Milliseconds. */
const LISTING_MS = 3000;

/** A value that a schema of an argument accepts, as far as scenarios need it. */
function valueFor(schema: { type?: string; default?: unknown; enum?: unknown[] }): unknown {
  if (schema.default !== undefined) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0];
  const values: Record<string, unknown> = { integer: 1, number: 1, boolean: true, object: {}, array: [] };
  return schema.type !== undefined && schema.type in values ? values[schema.type] : 'text';
}

function argumentsFor(tool: Message): Record<string, unknown> {
  const properties = Object.entries(tool.inputSchema?.properties ?? {}) as [string, object][];
  return Object.fromEntries(properties.map(([name, schema]) => [name, valueFor(schema)]));
}

/** What a scenario wants called: as it says, or every tool once. */
function callsOf(tools: readonly Message[]): readonly Call[] {
  if (CONTEXT.toolCalls !== undefined) return CONTEXT.toolCalls;
  const echo = tools.find(({ name }) => name === 'json_schema_echo');
  if (echo === undefined) return tools.map((tool) => ({ name: tool.name, arguments: argumentsFor(tool) }));
  const schema = tools.find((tool) => tool !== echo)?.inputSchema;
  return [{ name: echo.name, arguments: { schema } }];
}

/** The arguments that a client of 2026-07-28 repeats in headers. */
function mirrored(tool: Message, args: Record<string, unknown>): Record<string, string> {
  const properties = Object.entries(tool?.inputSchema?.properties ?? {}) as [string, Record<string, unknown>][];
  const headers: Record<string, string> = {};
  for (const [name, schema] of properties) {
    const value = args[name];
    if (schema['x-mcp-header'] === undefined || value === undefined || value === null) continue;
    const text = String(value);
    const plain = /^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$/.test(text);
    headers[`mcp-param-${schema['x-mcp-header']}`] = plain
      ? text
      : `=?base64?${Buffer.from(text).toString('base64')}?=`;
  }
  return headers;
}

/** Repeats a call with answers while the server asks. */
async function call(
  ask: Ask,
  method: string,
  params: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<void> {
  let more: Record<string, unknown> = {};
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const { result } = await ask(method, { ...params, ...more }, headers);
    if (result?.resultType !== 'input_required') return;
    const answers = Object.keys(result.inputRequests ?? {}).map((key) => [
      key,
      { action: 'accept', content: { name: 'Ada', confirmed: true, ok: true } },
    ]);
    more = { inputResponses: Object.fromEntries(answers) };
    if (result.requestState !== undefined) more['requestState'] = result.requestState;
  }
}

const url = process.argv.at(-1)!;
const gateway = createGateway({ port: 0, mcpServers: { mock: { url, prefix: false } } });
await gateway.start();
const endpoint = gateway.url!;
const endings: (() => unknown)[] = [];
let id = 0;
let ask: Ask;
if (REVISION >= '2026-07-28') {
  const clientCapabilities = { elicitation: {}, sampling: {}, roots: {} };
  ask = async (method, params = {}, headers = {}) => {
    id += 1;
    return (await modernRpc(endpoint, method, params, { id, clientCapabilities, headers })).message;
  };
} else {
  const client = await connectV1({ after: (work) => void endings.push(work) }, endpoint, {
    capabilities: { elicitation: { form: { applyDefaults: true } } },
  });
  client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'accept', content: {} }));
  ask = (method, params = {}) =>
    client.request({ method, params }, ResultSchema).then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
}
try {
  const listed = async (): Promise<Message[] | null> => {
    const { result } = await ask('tools/list');
    return result?.tools?.length > 0 ? result.tools : null;
  };
  const tools = await eventually('the tools are listed', listed, LISTING_MS).catch(() => []);
  for (const one of callsOf(tools)) {
    const tool = tools.find(({ name }) => name === one.name);
    await call(ask, 'tools/call', { ...one }, mirrored(tool, one.arguments));
  }
  for (const { name } of (await ask('prompts/list')).result?.prompts ?? []) await call(ask, 'prompts/get', { name });
  for (const { uri } of (await ask('resources/list')).result?.resources ?? [])
    await call(ask, 'resources/read', { uri });
} finally {
  for (const end of endings) await end();
  await gateway.stop();
}
