/** An MCP server over HTTP whose every response, to handshakes and lists as well as to calls, is written by the test. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestScope } from '../../support/process.js';
import type { Family } from '../raw-pool.js';

/** A request, and the proper answer to it. */
export interface PeerRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** The method of the message, '' for GET and DELETE. */
  readonly rpcMethod: string;
  /** The id of the message; undefined for notifications. */
  readonly id: unknown;
  /** The response as JSON, '' = there is none to send. */
  readonly text: string;
}

/** Writes the response to one request. */
export type WriteResponse = (request: PeerRequest, response: ServerResponse) => void;

export interface Peer {
  readonly url: string;
  readonly port: number;
  readonly requests: PeerRequest[];
  /** Writes all responses from now on. */
  write: WriteResponse;
}

/** The usual response. */
export const plain: WriteResponse = ({ method, text }, response) => {
  if (method === 'GET') response.writeHead(405).end();
  else if (text === '') response.writeHead(202).end();
  else response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'peer' }).end(text);
};

/** Starts a peer on a free port. Its only tool is `call`, the result of which is `{"ok":true}`. */
export async function startPeer(scope: TestScope, family: Family, write: WriteResponse = plain): Promise<Peer> {
  const requests: PeerRequest[] = [];
  const server = createServer(async (incoming, response) => {
    let body = '';
    for await (const chunk of incoming) body += chunk;
    const message = body === '' ? {} : JSON.parse(body);
    const request = {
      method: incoming.method ?? '',
      url: incoming.url ?? '',
      headers: incoming.headers,
      rpcMethod: message.method ?? '',
      id: message.id,
      text:
        message.id === undefined ? '' : JSON.stringify({ jsonrpc: '2.0', id: message.id, ...outcome(message, family) }),
    };
    requests.push(request);
    peer.write(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const peer: Peer = { url: `http://127.0.0.1:${port}/mcp`, port, requests, write };
  scope.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return peer;
}

function outcome({ method, params }: { method: string; params: { protocolVersion: string } }, family: Family): object {
  const capabilities = { tools: { listChanged: true } };
  const isModern = family === 'modern';
  const complete = isModern ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {};
  switch (method) {
    case 'server/discover':
      if (isModern) return { result: { ...complete, supportedVersions: ['2026-07-28'], capabilities } };
      return { error: { code: -32_601, message: 'Method not found' } };
    case 'initialize': {
      const { protocolVersion } = params;
      return { result: { protocolVersion, capabilities, serverInfo: { name: 'peer', version: '1' } } };
    }
    case 'tools/list':
      return { result: { ...complete, tools: [{ name: 'call', inputSchema: { type: 'object' } }] } };
    default:
      return { result: { ...complete, ok: true } };
  }
}
