/** What statuses other than 200 mean. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decoder } from '../../../native/index.js';
import { Kind, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { Era } from '../../../src/protocol/revisions.js';
import { interpretRefusal } from '../../../src/upstream/http/refusals.js';
import { type SessionLoss, sessionLoss } from '../../../src/upstream/http/session.js';

/** The scan of a body as the endpoint has it. */
function scanned(text: string): { body: Buffer; spans: Spans | null } {
  const body = Buffer.from(text);
  const spans = new Spans();
  const status = decoder.scan(body, body.length, spans.words, 512);
  return { body, spans: status === ScanStatus.ok && spans.kind === Kind.response ? spans : null };
}

const error = (id: unknown, code: number, message = 'm'): string =>
  JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } });

test('a session is lost when the response means so, in all of the forms in use', () => {
  const rows: [what: string, status: number, text: string, loss: SessionLoss][] = [
    ['404 without a body', 404, '', 'lost'],
    ['404 with a page', 404, '<h1>Not Found</h1>', 'lost'],
    ['410', 410, 'Gone', 'lost'],
    ['the TypeScript SDK', 404, error(null, -32_001, 'Session not found'), 'lost'],
    ['the same with an id', 404, error('x', -32_001, 'Session not found'), 'lost'],
    ['the Python SDK', 404, error('server-error', -32_600, 'Session not found'), 'lost'],
    ['the Python SDK before', 400, 'Bad Request: No valid session ID provided', 'lost'],
    ['a new process', 400, error(null, -32_000, 'Bad Request: Server not initialized'), 'lost'],
    ['a missing session', 400, error(null, -32_000, 'Bad Request: Mcp-Session-Id header is required'), 'lost'],
    ['410 with an error', 410, error(null, -32_001, 'gone'), 'lost'],
    ['422 that names it', 422, '{"detail":"Unexpected message, session is unknown"}', 'lost'],
    ['422 with an error', 422, error(65_537, -32_600, 'Unexpected session state'), 'lost'],
    ['401 that names it', 401, error(null, -32_001, 'Session not found'), 'lost'],
    ['403 that names it', 403, 'Session expired', 'lost'],
    ['403 in other words', 403, '{"error":"invalid or expired session"}', 'lost'],
    ['no transport', 400, 'No transport found for sessionId', 'lost'],
    ['200 without the id', 200, error(null, -32_000, 'Session not found'), 'lost'],
    ['200 with the id', 200, error(65_537, -32_001, 'Session not found'), 'lost'],
    ['200, terminated', 200, error(65_537, -32_600, 'The session has been terminated'), 'lost'],
    ['200, of the tool perhaps', 200, error(65_537, -32_603, 'session 5 is unknown'), 'perhaps'],
    ['200, about something else', 200, error(65_537, -32_000, 'the session is busy'), 'none'],
    ['200, no error', 200, JSON.stringify({ jsonrpc: '2.0', id: 65_537, result: { x: 'Session not found' } }), 'none'],
    ['401 without a word', 401, '', 'none'],
    ['401 about a token', 401, '{"error":"invalid_token"}', 'none'],
    ['403 about a scope', 403, 'insufficient scope', 'none'],
    ['an unknown method', 404, error(65_537, -32_601, 'no session method'), 'none'],
    ['bad parameters', 400, error(65_537, -32_602, 'bad session parameter'), 'none'],
    ['an invalid request', 400, error(65_537, -32_600, 'not like that'), 'none'],
    ['another revision', 400, error(null, -32_000, 'Bad Request: Unsupported protocol version'), 'none'],
    ['a plain refusal', 400, 'no', 'perhaps'],
    ['an empty refusal', 422, '', 'perhaps'],
    ['a failure', 500, error(null, -32_001, 'Session not found'), 'none'],
  ];
  for (const [what, status, text, loss] of rows) {
    const { body, spans } = scanned(text);
    assert.equal(sessionLoss(status, 'session', body, spans), loss, what);
    assert.equal(sessionLoss(status, '', body, spans), 'none', what);
  }
});

test('a refusal becomes what the server said, an error of the gateway, or a doubt about the upstream', () => {
  const rows: [
    what: string,
    status: number,
    text: string,
    error: string,
    isPassedOn: boolean,
    reprobe: 'always' | 'modern' | 'never',
  ][] = [
    ['credentials', 401, '', 'GW_UPSTREAM_REFUSED', false, 'never'],
    ['credentials, with an error', 401, error(65_537, 1), 'GW_UPSTREAM_REFUSED', true, 'never'],
    ['permission', 403, '', 'GW_UPSTREAM_REFUSED', false, 'never'],
    ['too many', 429, error(65_537, 1), 'GW_UPSTREAM_BUSY', true, 'never'],
    ['down', 503, '', 'GW_UPSTREAM_DOWN', false, 'never'],
    ['a proxy without a server', 502, '<h1>Bad Gateway</h1>', 'GW_UPSTREAM_DOWN', false, 'never'],
    ['down, with an error', 503, error(65_537, 1), 'GW_UPSTREAM_DOWN', true, 'never'],
    ['a failure', 500, error(65_537, 1), 'GW_UPSTREAM_PROTOCOL', true, 'never'],
    ['a failure before the id was read', 500, error(null, 1), 'GW_UPSTREAM_PROTOCOL', true, 'never'],
    ['a failure under a text', 500, error('server-error', 1), 'GW_UPSTREAM_PROTOCOL', true, 'never'],
    ['a failure without an id', 500, error(undefined, 1), 'GW_UPSTREAM_PROTOCOL', true, 'never'],
    ['an answer', 404, error(65_537, -32_601), 'GW_UPSTREAM_PROTOCOL', true, 'never'],
    ['a missing capability', 400, error(65_537, -32_021), 'GW_UPSTREAM_PROTOCOL', true, 'never'],
    ['headers that do not match', 400, error(65_537, -32_020), 'GW_UPSTREAM_PROTOCOL', false, 'always'],
    ['another revision', 400, error(65_537, -32_022), 'GW_UPSTREAM_DOWN', false, 'always'],
    ['another revision, before the id was read', 400, error(null, -32_022), 'GW_UPSTREAM_DOWN', false, 'always'],
    ['an answer to another call', 400, error(65_538, -32_602), 'GW_UPSTREAM_PROTOCOL', false, 'modern'],
    ['a session is wanted', 400, error(null, -32_000), 'GW_UPSTREAM_PROTOCOL', true, 'modern'],
    ['no such method', 405, '', 'GW_UPSTREAM_PROTOCOL', false, 'modern'],
    ['a conflict', 409, '', 'GW_UPSTREAM_PROTOCOL', false, 'never'],
  ];
  for (const [what, status, text, code, isPassedOn, reprobe] of rows) {
    const answer = { status, ...scanned(text), id: 65_537 };
    const said = JSON.parse(text.startsWith('{') ? text : 'null') as { error: object } | null;
    const response = isPassedOn ? { jsonrpc: '2.0', id: 65_537, error: said?.error } : null;
    const meaning = (era: Era, sessionId: string): object => {
      const refusal = interpretRefusal({ ...answer, era, sessionId });
      return { ...refusal, response: refusal.response && JSON.parse(refusal.response.toString()) };
    };
    assert.deepEqual(meaning(Era.modern, ''), { error: code, response, reprobe: reprobe !== 'never' }, what);
    assert.deepEqual(meaning(Era.legacy, 's'), { error: code, response, reprobe: reprobe === 'always' }, what);
    // Without sessions there is nothing else by which a change of the upstream would be noticed.
    assert.deepEqual(meaning(Era.legacy, ''), { error: code, response, reprobe: reprobe !== 'never' }, what);
  }
});
