/**
 * A Streamable HTTP MCP server on uWebSockets.js in a process of its own, as cheap as a correct one can be: the
 * upstream behind which relays are measured.
 *
 * `node http.js [--port 0] [--tools 10] [--era legacy|modern|both] [--padding BYTES] [--events N] [--sessions]`; prints `listening on PORT`.
 * With `--events` a call that has a progress token is answered with a stream of so many notifications and its result.
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
    events: { type: 'string', default: '0' },
    sessions: { type: 'boolean', default: false },
  },
});
const answer = createAnswers({ era: values.era as Era, tools: Number(values.tools), padding: Number(values.padding) });
/** Bodies larger than this are refused (bytes). */
const MAX_BODY = 16 * 1024 * 1024;
/** Most sessions; the oldest is removed first. */
const MAX_SESSIONS = 20_000;
const sessions = new Set<string>();
const EVENTS = Number(values.events);

function refuse(res: HttpResponse, status: string, code: number, sentence: string): void {
  res.cork(() => {
    res
      .writeStatus(status)
      .writeHeader('Content-Type', 'application/json')
      .end(`{"jsonrpc":"2.0","id":null,"error":{"code":${code},"message":"${sentence}"}}`);
  });
}

/** The stream that answers a call; empty = it is answered without one. */
function streamOf(body: string, text: string): string {
  const token = EVENTS === 0 ? undefined : /"progressToken":("[^"]*"|\d+)/.exec(body)?.[1];
  if (token === undefined) return '';
  const start = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":`;
  let events = '';
  for (let i = 1; i <= EVENTS; i += 1) events += `data: ${start}${i}}}\n\n`;
  return `${events}data: ${text}\n\n`;
}

function reply(res: HttpResponse, body: string, session: string): void {
  const text = answer(body);
  const stream = text === undefined ? '' : streamOf(body, text);
  if (stream !== '') {
    res.cork(() => res.writeHeader('Content-Type', 'text/event-stream').end(stream));
    return;
  }
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
