import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { inTurn } from '../statistics.js';
import type { Target } from './targets.js';

/** The revision that the load speaks. */
const REVISION = '2025-11-25';
/** Echoed by every call: with its envelope a body of about 200 bytes. */
export const TEXT = 'The quick brown fox jumps over the lazy dog, 64 bytes in all...!';

/** One client: its token and its session; empty strings when there is none. */
export interface Client {
  readonly token: string;
  readonly session: string;
}

interface Answer {
  readonly status: number;
  readonly session: string;
  readonly text: string;
  /** Bytes of the answer on the wire, head included. */
  readonly wireBytes: number;
}

/** Headers of one POST as the wire needs them. */
export function headersOf(client: Client, initialized: boolean): Record<string, string> {
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
  };
  if (initialized) headers['MCP-Protocol-Version'] = REVISION;
  if (client.session !== '') headers['Mcp-Session-Id'] = client.session;
  if (client.token !== '') headers['Authorization'] = `Bearer ${client.token}`;
  return headers;
}

/** The body of one call. Ids have six digits, so that all answers of a run have the same length. */
export function callBody(id: number, tool: string): string {
  return JSON.stringify({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name: tool, arguments: { text: TEXT } },
  });
}

function post(agent: Agent, url: string, headers: Record<string, string>, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { method: 'POST', agent, headers }, (response: IncomingMessage) => {
      const { socket } = response;
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('error', reject);
      response.once('end', () => {
        const session = response.headers['mcp-session-id'];
        const counted = socket as typeof socket & { benchBytes?: number };
        const before = counted.benchBytes ?? 0;
        counted.benchBytes = socket.bytesRead;
        resolve({
          status: response.statusCode ?? 0,
          session: typeof session === 'string' ? session : '',
          text: Buffer.concat(parts).toString(),
          wireBytes: socket.bytesRead - before,
        });
      });
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

/** The JSON-RPC response in a body of JSON or SSE. */
function messageOf(text: string): Record<string, unknown> {
  if (text.startsWith('{')) return JSON.parse(text) as Record<string, unknown>;
  const data = text
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .at(-1);
  if (data === undefined) throw new Error(`no JSON-RPC message in: ${text.slice(0, 200)}`);
  return JSON.parse(data.slice(6)) as Record<string, unknown>;
}

/** Opens one session for each token of the target, up to `count`, a few at a time. */
export async function openClients(target: Target, count: number): Promise<Client[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const clients: Client[] = new Array(count);
  let next = 0;
  const opener = async () => {
    for (let index = next++; index < count; index = next++) {
      const token = target.tokens.length === 0 ? '' : inTurn(target.tokens, index);
      const first = { token, session: '' };
      const initialize = {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: REVISION, capabilities: {}, clientInfo: { name: 'bench', version: '1.0.0' } },
      };
      const answer = await post(agent, target.url, headersOf(first, false), JSON.stringify(initialize));
      if (answer.status !== 200 || messageOf(answer.text)['result'] === undefined) {
        throw new Error(`${target.name}: initialize answered ${answer.status} ${answer.text.slice(0, 300)}`);
      }
      const client = { token, session: answer.session };
      const initialized = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
      const accepted = await post(agent, target.url, headersOf(client, true), initialized);
      if (accepted.status !== 202) throw new Error(`${target.name}: initialized answered ${accepted.status}`);
      clients[index] = client;
    }
  };
  await Promise.all(Array.from({ length: 16 }, opener));
  agent.destroy();
  return clients;
}

/**
 * Makes a few calls and checks their answers to the letter.
 *
 * @returns bytes of one answer on the wire
 * @throws when an answer is not the echo of its own call
 */
export async function verify(target: Target, clients: readonly Client[], tools: readonly string[]): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let wireBytes = 0;
  for (let sample = 0; sample < 6; sample++) {
    const client = inTurn(clients, Math.floor((sample * clients.length) / 6));
    const tool = inTurn(tools, Math.floor((sample * tools.length) / 6));
    const id = 900_000 + sample;
    const answer = await post(agent, target.url, headersOf(client, true), callBody(id, tool));
    const wrong = (what: string) =>
      new Error(`${target.name}: ${what}: ${answer.status} ${answer.text.slice(0, 300)} (tool ${tool})`);
    if (answer.status !== 200) throw wrong('refused');
    const message = messageOf(answer.text) as {
      id?: unknown;
      result?: { isError?: unknown; content?: { text?: unknown }[] };
    };
    if (message.id !== id) throw wrong('wrong id');
    if (message.result === undefined || message.result.isError === true) throw wrong('failed');
    if (message.result.content?.[0]?.text !== TEXT) throw wrong('wrong echo');
    wireBytes = answer.wireBytes;
  }
  agent.destroy();
  return wireBytes;
}
