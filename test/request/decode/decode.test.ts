import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decoder } from '../../../native/index.js';
import type { ErrorCode } from '../../../src/errors.js';
import { Era } from '../../../src/protocol/revisions.js';
import { DecodeStage } from '../../../src/request/decode/index.js';
import { Caller, Scheme } from '../../../src/request/exchange/caller.js';
import type { Client, Message } from '../../../src/request/exchange/index.js';
import { Accepts, type Exchange, type SessionLike } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { authOf } from '../../support/auth.js';

const MODERN = '2026-07-28';
const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientCapabilities': {},
};

function session(revision: number): SessionLike {
  const none = new Uint8Array(0);
  return {
    id: 'known',
    revision,
    capabilities: none,
    capabilityMask: 0,
    clientInfo: none,
    subject: new Int32Array(4),
    viewBase: '',
    logLevel: -1,
    lastUsed: 0,
    hasWaitingRequests: false,
  };
}

type Outcome = 'next' | 'batch' | ErrorCode;

interface Row {
  readonly name: string;
  readonly head?: Partial<
    Pick<Message, 'versionHeader' | 'methodHeader' | 'nameHeader' | 'hasNameHeader'> &
      Pick<Client, 'sessionId' | 'caller' | 'accepts' | 'headerless' | 'link'>
  >;
  readonly body: unknown;
  readonly authRequired?: boolean;
  /** `sessions.required: false`. */
  readonly sessionless?: boolean;
  readonly revision?: number;
  readonly expect: Outcome;
  readonly era?: Era;
}

function run(row: Row): { outcome: Outcome; exchange: Exchange } {
  const exchange = new ExchangeTable(1).acquire()!;
  let outcome: Outcome | null = null;
  const settle = (value: Outcome): void => {
    assert.equal(outcome, null, 'one outcome only');
    outcome = value;
  };
  const stage = new DecodeStage({
    decoder,
    config: {
      current: {
        auth: row.authRequired === true ? authOf({ type: 'bearer', tokens: [] }) : authOf(),
        views: [],
        limits: { maxDepth: 64 },
        sessions: { required: row.sessionless !== true },
      },
    },
    sessions: { open: (id) => (id === 'known' ? session(row.revision ?? 3) : null) },
    catalog: { isListed: () => false },
    upstreams: { wantLogLevel: () => {} },
    write: { refuse: (_exchange, code) => settle(code) },
  });
  stage.attach({ decoded: () => settle('next'), batch: () => settle('batch') });
  exchange.client.accepts = Accepts.json | Accepts.sse;
  for (const [name, value] of Object.entries(row.head ?? {})) {
    Object.assign(name in exchange.client ? exchange.client : exchange.message, { [name]: value });
  }
  const bytes = Buffer.from(typeof row.body === 'string' ? row.body : JSON.stringify(row.body));
  stage.decode(exchange, bytes, bytes.length);
  assert.notEqual(outcome, null, 'an outcome');
  return { outcome: outcome!, exchange };
}

const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: {} } };
const modernCall = { ...call, params: { ...call.params, _meta: ENVELOPE } };
const modernHead = { versionHeader: MODERN, methodHeader: 'tools/call', nameHeader: 'echo', hasNameHeader: true };
const known = { sessionId: 'known' };
/** A message of a connection that carries many, and one that REST has made. */
const linked = { headerless: true, link: { subject: null, end: () => {} } };
const made = { headerless: true, accepts: Accepts.json };
const note = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
const encoded = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;
const withMeta = (meta: object): object => ({ ...call, params: { ...call.params, _meta: meta } });

const rows: readonly Row[] = [
  { name: 'a modern call on a connection', head: linked, body: modernCall, expect: 'next', era: Era.modern },
  { name: 'a modern call that REST has made', head: made, body: modernCall, expect: 'next', era: Era.modern },
  {
    name: 'a modern call without a name on a connection',
    head: linked,
    body: { ...modernCall, params: { _meta: ENVELOPE } },
    expect: 'GW_MISSING_NAME',
  },
  {
    name: 'an unknown version on a connection',
    head: linked,
    body: withMeta({ ...ENVELOPE, 'io.modelcontextprotocol/protocolVersion': '2027-01-01' }),
    expect: 'GW_UNSUPPORTED_VERSION',
  },
  {
    name: 'an envelope without capabilities on a connection',
    head: linked,
    body: withMeta({ 'io.modelcontextprotocol/protocolVersion': MODERN }),
    expect: 'GW_ENVELOPE',
  },
  {
    name: 'a notification on a connection without a session',
    head: linked,
    body: note,
    expect: 'next',
    era: Era.modern,
  },
  {
    name: 'a notification on a connection with a session',
    head: { ...linked, ...known },
    body: note,
    expect: 'next',
    era: Era.legacy,
  },
  { name: 'a legacy call before initialize', head: linked, body: call, expect: 'next', era: Era.legacy },
  {
    name: 'a legacy list before initialize',
    head: linked,
    body: { jsonrpc: '2.0', id: 1, method: 'tools/list' },
    expect: 'next',
    era: Era.legacy,
  },
  {
    name: 'a ping before initialize',
    head: linked,
    body: { jsonrpc: '2.0', id: 1, method: 'ping' },
    expect: 'next',
    era: Era.legacy,
  },
  {
    name: 'a ping without a session over HTTP',
    body: { jsonrpc: '2.0', id: 1, method: 'ping' },
    expect: 'GW_SESSION_REQUIRED',
  },
  {
    name: 'an answer on a connection without a session',
    head: linked,
    body: { jsonrpc: '2.0', id: 1, result: {} },
    expect: 'GW_NOT_INITIALIZED',
  },
  { name: 'a batch before initialize', head: linked, body: [call], expect: 'batch' },
  {
    name: 'a batch on a connection of 2025-03-26',
    head: { ...linked, ...known },
    revision: 1,
    body: [call],
    expect: 'batch',
  },
  {
    name: 'a batch on a connection of another revision',
    head: { ...linked, ...known },
    body: [call],
    expect: 'GW_BATCH_REFUSED',
  },
  { name: 'a modern call', head: modernHead, body: modernCall, expect: 'next', era: Era.modern },
  {
    name: 'a modern call without a version header',
    head: { ...modernHead, versionHeader: '' },
    body: modernCall,
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'a modern call without Mcp-Method',
    head: { ...modernHead, methodHeader: '' },
    body: modernCall,
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'a modern call with another Mcp-Method',
    head: { ...modernHead, methodHeader: 'tools/list' },
    body: modernCall,
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'a modern call whose method differs in case',
    head: { ...modernHead, methodHeader: 'Tools/call' },
    body: modernCall,
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'a modern call without Mcp-Name',
    head: { ...modernHead, nameHeader: '', hasNameHeader: false },
    body: modernCall,
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'a modern call with another Mcp-Name',
    head: { ...modernHead, nameHeader: 'echo2' },
    body: modernCall,
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'an encoded Mcp-Name',
    head: { ...modernHead, nameHeader: encoded('echo') },
    body: modernCall,
    expect: 'next',
  },
  {
    name: 'bad Base64 in Mcp-Name',
    head: { ...modernHead, nameHeader: '=?base64?ZWNobw=?=' },
    body: modernCall,
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'a non-ASCII name, encoded in the header',
    head: { ...modernHead, nameHeader: encoded('größe') },
    body: { ...modernCall, params: { ...modernCall.params, name: 'größe' } },
    expect: 'next',
  },
  {
    name: 'an escaped name in the body',
    head: modernHead,
    body: JSON.stringify(modernCall).replace('"echo"', '"\\u0065cho"'),
    expect: 'next',
  },
  {
    name: 'a version header that differs from the claim',
    head: { ...modernHead, versionHeader: '2027-01-01' },
    body: modernCall,
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'an unknown version in both places',
    head: { ...modernHead, versionHeader: '2027-01-01' },
    body: withMeta({ ...ENVELOPE, 'io.modelcontextprotocol/protocolVersion': '2027-01-01' }),
    expect: 'GW_UNSUPPORTED_VERSION',
  },
  {
    name: 'a claim that names a legacy version',
    head: { ...modernHead, versionHeader: '2025-06-18' },
    body: withMeta({ ...ENVELOPE, 'io.modelcontextprotocol/protocolVersion': '2025-06-18' }),
    expect: 'GW_UNSUPPORTED_VERSION',
  },
  {
    name: 'a claim that is no string',
    head: modernHead,
    body: withMeta({ ...ENVELOPE, 'io.modelcontextprotocol/protocolVersion': 20260728 }),
    expect: 'GW_ENVELOPE',
  },
  {
    name: 'a claim without capabilities',
    head: modernHead,
    body: withMeta({ 'io.modelcontextprotocol/protocolVersion': MODERN }),
    expect: 'GW_ENVELOPE',
  },
  {
    name: 'capabilities as an array',
    head: modernHead,
    body: withMeta({ ...ENVELOPE, 'io.modelcontextprotocol/clientCapabilities': [] }),
    expect: 'GW_ENVELOPE',
  },
  { name: 'a modern header without an envelope', head: modernHead, body: call, expect: 'GW_ENVELOPE' },
  {
    name: 'an unknown log level',
    head: modernHead,
    body: withMeta({ ...ENVELOPE, 'io.modelcontextprotocol/logLevel': 'loud' }),
    expect: 'GW_ENVELOPE',
  },
  {
    name: 'a level where this revision has no method for it',
    head: { ...modernHead, methodHeader: 'logging/setLevel' },
    body: { jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'loud', _meta: ENVELOPE } },
    expect: 'next',
    era: Era.modern,
  },
  {
    name: 'a modern notification',
    head: { versionHeader: MODERN },
    body: { jsonrpc: '2.0', method: 'notifications/x' },
    expect: 'next',
    era: Era.modern,
  },
  {
    name: 'a modern call without a name',
    head: modernHead,
    body: { ...call, params: { _meta: ENVELOPE } },
    expect: 'GW_MISSING_NAME',
  },
  {
    name: 'initialize',
    body: { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-06-18' } },
    expect: 'next',
    era: Era.legacy,
  },
  {
    name: 'initialize under a modern header',
    head: { versionHeader: MODERN },
    body: { jsonrpc: '2.0', id: 0, method: 'initialize', params: {} },
    expect: 'GW_HEADER_MISMATCH',
  },
  {
    name: 'initialize within a session',
    head: known,
    body: { jsonrpc: '2.0', id: 0, method: 'initialize', params: {} },
    expect: 'GW_ALREADY_INITIALIZED',
  },
  { name: 'a legacy call', head: known, body: call, expect: 'next', era: Era.legacy },
  { name: 'a legacy call without a session', body: call, expect: 'GW_SESSION_REQUIRED' },
  {
    name: 'a legacy call without a session where none is required',
    sessionless: true,
    body: call,
    expect: 'next',
    era: Era.legacy,
  },
  { name: 'a batch without a session where none is required', sessionless: true, body: [call], expect: 'batch' },
  {
    name: 'a batch of 2025-11-25 without a session',
    sessionless: true,
    head: { versionHeader: '2025-11-25' },
    body: [call],
    expect: 'GW_BATCH_REFUSED',
  },
  {
    name: 'a response without a session where none is required',
    sessionless: true,
    body: { jsonrpc: '2.0', id: 4, result: {} },
    expect: 'GW_SESSION_REQUIRED',
  },
  {
    name: 'an unknown session where none is required',
    sessionless: true,
    head: { sessionId: 'gone' },
    body: call,
    expect: 'GW_SESSION_NOT_FOUND',
  },
  {
    name: 'a bad version header without a session',
    sessionless: true,
    head: { versionHeader: '1999-01-01' },
    body: call,
    expect: 'GW_BAD_VERSION_HEADER',
  },
  {
    name: 'a legacy call in an unknown session',
    head: { sessionId: 'gone' },
    body: call,
    expect: 'GW_SESSION_NOT_FOUND',
  },
  {
    name: 'a legacy call with a bad version header',
    head: { ...known, versionHeader: '1999-01-01' },
    body: call,
    expect: 'GW_BAD_VERSION_HEADER',
  },
  { name: 'a legacy call without a name', head: known, body: { ...call, params: {} }, expect: 'GW_MISSING_NAME' },
  {
    name: 'a tools/call without an id',
    head: known,
    body: { jsonrpc: '2.0', method: 'tools/call', params: call.params },
    expect: 'GW_INVALID_REQUEST',
  },
  {
    name: 'a response of the client',
    head: known,
    body: { jsonrpc: '2.0', id: 4, result: {} },
    expect: 'next',
    era: Era.legacy,
  },
  {
    name: 'a response under a modern header',
    head: { versionHeader: MODERN },
    body: { jsonrpc: '2.0', id: 4, result: {} },
    expect: 'GW_INVALID_REQUEST',
  },
  { name: 'a batch of 2025-03-26', head: known, revision: 1, body: [call], expect: 'batch' },
  { name: 'a batch of 2025-06-18', head: known, revision: 2, body: [call], expect: 'GW_BATCH_REFUSED' },
  {
    name: 'a batch under a modern header',
    head: { ...known, versionHeader: MODERN },
    body: [call],
    expect: 'GW_BATCH_REFUSED',
  },
  { name: 'an empty batch', head: known, revision: 1, body: [], expect: 'GW_INVALID_REQUEST' },
  { name: 'JSON alone is accepted', head: { ...known, accepts: Accepts.json }, body: call, expect: 'next' },
  { name: 'a stream alone is accepted', head: { ...known, accepts: Accepts.sse }, body: call, expect: 'next' },
  {
    name: 'neither JSON nor a stream is accepted',
    head: { ...known, accepts: 0 },
    body: call,
    expect: 'GW_NOT_ACCEPTABLE',
  },
  { name: 'no token where one is needed', head: known, authRequired: true, body: call, expect: 'GW_UNAUTHENTICATED' },
  {
    name: 'another scheme where a token is needed',
    head: { ...known, caller: new Caller('', Scheme.other) },
    authRequired: true,
    body: call,
    expect: 'GW_INVALID_TOKEN',
  },
  { name: 'no token and no JSON', authRequired: true, body: '{', expect: 'GW_UNAUTHENTICATED' },
  { name: 'no JSON', body: '{"jsonrpc"', expect: 'GW_PARSE' },
  { name: 'JSON, but no JSON-RPC', body: { hello: 1 }, expect: 'GW_INVALID_REQUEST' },
  { name: 'an id that is null', head: known, body: { ...call, id: null }, expect: 'GW_INVALID_ID' },
  { name: 'an id with a fraction', head: known, body: { ...call, id: 1.5 }, expect: 'GW_INVALID_ID' },
  { name: 'params that are an array', head: known, body: { ...call, params: [1] }, expect: 'GW_INVALID_PARAMS' },
  {
    name: 'a repeated method',
    head: known,
    body: '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}',
    expect: 'GW_AMBIGUOUS',
  },
  {
    name: 'an escaped method key',
    head: known,
    body: '{"jsonrpc":"2.0","id":1,"\\u006dethod":"ping"}',
    expect: 'GW_AMBIGUOUS',
  },
];

describe('decode', () => {
  for (const row of rows) {
    it(`answers ${row.expect} to ${row.name}`, () => {
      const { outcome, exchange } = run(row);
      assert.equal(outcome, row.expect);
      if (row.era !== undefined) assert.equal(exchange.client.era, row.era);
    });
  }

  for (const id of ['"1"', '1', '9007199254740993', '-0', '1.0', '1e2', '"\\u0031"', `"${'x'.repeat(200)}"`]) {
    it(`keeps the id ${id.slice(0, 24)} byte for byte`, () => {
      const body = `{"jsonrpc":"2.0","id":${id},"method":"ping"}`;
      const { outcome, exchange } = run({ name: id, head: known, body, expect: 'next' });
      assert.equal(outcome, 'next');
      assert.equal(exchange.client.id.toString('utf8', 0, exchange.client.idLength), id);
    });
  }

  it('quotes the version a refused client asked for', () => {
    const row = rows.find(({ name }) => name === 'an unknown version in both places')!;
    assert.equal(run(row).exchange.message.detail, '2027-01-01');
  });
});
