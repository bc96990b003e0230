/** What statuses other than 200 mean. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decoder } from '../../../native/index.js';
import { Kind, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { Era } from '../../../src/protocol/revisions.js';
import { interpretRefusal } from '../../../src/upstream/http/refusals.js';
import { isSessionLost } from '../../../src/upstream/http/session.js';

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
  const rows: [what: string, status: number, text: string, lost: boolean][] = [
    ['404 without a body', 404, '', true],
    ['404 with a page', 404, '<h1>Not Found</h1>', true],
    ['the TypeScript SDK', 404, error(null, -32_001, 'Session not found'), true],
    ['the same with an id', 404, error('x', -32_001, 'Session not found'), true],
    ['the Python SDK', 404, error('server-error', -32_600, 'Session not found'), true],
    ['the Python SDK before', 400, 'Bad Request: No valid session ID provided', true],
    ['a new process', 400, error(null, -32_000, 'Bad Request: Server not initialized'), true],
    ['a missing session', 400, error(null, -32_000, 'Bad Request: Mcp-Session-Id header is required'), true],
    ['an unknown method', 404, error(65_537, -32_601, 'no session method'), false],
    ['bad parameters', 400, error(65_537, -32_602, 'bad session parameter'), false],
    ['an invalid request', 400, error(65_537, -32_600, 'not like that'), false],
    ['another revision', 400, error(null, -32_000, 'Bad Request: Unsupported protocol version'), false],
    ['a plain refusal', 400, 'no', false],
    ['a failure', 500, error(null, -32_001, 'Session not found'), false],
  ];
  for (const [what, status, text, lost] of rows) {
    const { body, spans } = scanned(text);
    assert.equal(isSessionLost(status, 'session', body, spans), lost, what);
    assert.equal(isSessionLost(status, '', body, spans), false, what);
  }
});

test('a refusal becomes an answer, an error of ours, or a doubt about the upstream', () => {
  const rows: [
    what: string,
    status: number,
    text: string,
    error: string | null,
    reprobe: 'always' | 'modern' | 'never',
  ][] = [
    ['credentials', 401, error(65_537, 1), 'GW_UPSTREAM_REFUSED', 'never'],
    ['permission', 403, '', 'GW_UPSTREAM_REFUSED', 'never'],
    ['too many', 429, error(65_537, 1), 'GW_UPSTREAM_BUSY', 'never'],
    ['down', 503, '', 'GW_UPSTREAM_UNAVAILABLE', 'never'],
    ['down behind a proxy', 502, '', 'GW_UPSTREAM_UNAVAILABLE', 'never'],
    ['a failure', 500, error(65_537, 1), 'GW_UPSTREAM_PROTOCOL', 'never'],
    ['a redirect', 307, '', 'GW_UPSTREAM_PROTOCOL', 'never'],
    ['an answer', 404, error(65_537, -32_601), null, 'never'],
    ['a missing capability', 400, error(65_537, -32_021), null, 'never'],
    ['headers that do not match', 400, error(65_537, -32_020), 'GW_UPSTREAM_PROTOCOL', 'always'],
    ['another revision', 400, error(65_537, -32_022), 'GW_UPSTREAM_DOWN', 'always'],
    ['another revision, before the id was read', 400, error(null, -32_022), 'GW_UPSTREAM_DOWN', 'always'],
    ['an answer to somebody else', 400, error(65_538, -32_602), 'GW_UPSTREAM_PROTOCOL', 'modern'],
    ['a session is wanted', 400, error(null, -32_000), 'GW_UPSTREAM_PROTOCOL', 'modern'],
    ['no such method', 405, '', 'GW_UPSTREAM_PROTOCOL', 'modern'],
    ['a conflict', 409, '', 'GW_UPSTREAM_PROTOCOL', 'never'],
  ];
  for (const [what, status, text, code, reprobe] of rows) {
    const answer = { status, ...scanned(text), id: 65_537 };
    const modern = interpretRefusal({ ...answer, era: Era.modern, sessionId: '' });
    assert.deepEqual(modern, { error: code, reprobe: reprobe !== 'never' }, what);
    const legacy = interpretRefusal({ ...answer, era: Era.legacy, sessionId: 's' });
    assert.deepEqual(legacy, { error: code, reprobe: reprobe === 'always' }, what);
    // Without sessions there is nothing else by which a change of the upstream would be noticed.
    const stateless = interpretRefusal({ ...answer, era: Era.legacy, sessionId: '' });
    assert.deepEqual(stateless, { error: code, reprobe: reprobe !== 'never' }, what);
  }
});
