/**
 * A Streamable HTTP MCP server on uWebSockets.js in a process of its own, as cheap as a correct one can be: the
 * upstream behind which relays are measured.
 *
 * `node http.js [--port 0] [--tools 10] [--era legacy|modern|both] [--padding BYTES] [--sessions]`; prints `listening on PORT`.
 */

import uWS, { type HttpRequest, type HttpResponse } from 'uWebSockets.js';
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createAnswers, type Era } from './answers.js';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    tools: { type: 'string', default: '10' },
    era: { type: 'string', default: 'legacy' },
    padding: { type: 'string', default: '0' },
    sessions: { type: 'boolean', default: false },
  },
});
const answer = createAnswers({ era: values.era as Era, tools: Number(values.tools), padding: Number(values.padding) });
/** Bodies larger than this are refused (bytes). */
const MAX_BODY = 16 * 1024 * 1024;
/** Most sessions; the oldest is removed first. */
const MAX_SESSIONS = 20_000;
const sessions = new Set<string>();

function refuse(res: HttpResponse, status: string, code: number, sentence: string): void {
  res.cork(() => {
    res
      .writeStatus(status)
      .writeHeader('Content-Type', 'application/json')
      .end(`{"jsonrpc":"2.0","id":null,"error":{"code":${code},"message":"${sentence}"}}`);
  });
}

function reply(res: HttpResponse, body: string, session: string): void {
  const text = answer(body);
  res.cork(() => {
    if (text === undefined) {
      res.writeStatus('202 Accepted').end();
      return;
    }
    res.writeHeader('Content-Type', 'application/json');
    if (values.sessions && session === '' && text.includes('"serverInfo":', 20)) {
      const minted = randomUUID();
      if (sessions.size >= MAX_SESSIONS) sessions.delete(sessions.values().next().value!);
      sessions.add(minted);
      res.writeHeader('Mcp-Session-Id', minted);
    }
    res.end(text);
  });
}

function post(res: HttpResponse, req: HttpRequest): void {
  let session = '';
  if (values.sessions) {
    session = req.getHeader('mcp-session-id');
    if (session !== '' && !sessions.has(session)) {
      refuse(res, '404 Not Found', -32001, 'Session not found');
      return;
    }
  }
  let parts: Buffer | undefined;
  let isClosed = false;
  res.onAborted(() => {
    isClosed = true;
  });
  res.onData((chunk, last) => {
    if (isClosed) return;
    if (last && parts === undefined) {
      reply(res, Buffer.from(chunk).toString(), session);
      return;
    }
    // A chunk's memory is valid only during this callback; concat copies it.
    parts = Buffer.concat(parts === undefined ? [Buffer.from(chunk)] : [parts, Buffer.from(chunk)]);
    if (parts.length > MAX_BODY) {
      isClosed = true;
      res.close();
    } else if (last) {
      reply(res, parts.toString(), session);
    }
  });
}

uWS
  .App()
  .post('/mcp', post)
  .any('/*', (res) => {
    res.cork(() => {
      res.writeStatus('405 Method Not Allowed').writeHeader('Allow', 'POST').end();
    });
  })
  .listen('127.0.0.1', Number(values.port), (socket) => {
    if (!socket) {
      process.stderr.write('cannot listen\n');
      process.exit(1);
    }
    process.stdout.write(`listening on ${uWS.us_socket_local_port(socket)}\n`);
  });
