import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METHODS, Method } from '../../native/layout.js';
import { check, describe, scan } from './both.js';

const call = (params: string, method = 'tools/call') =>
  `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`;
const withId = (id: string) => `{"jsonrpc":"2.0","id":${id},"method":"ping"}`;
const withMethod = (method: string) => `{"jsonrpc":"2.0","id":1,"method":${method}}`;

test('what is not one JSON document in UTF-8 is refused without an id', () => {
  const message = withId('1');
  check(
    [
      '',
      ' ',
      '\n',
      'x',
      message.slice(0, -1),
      `${message}x`,
      `${message},`,
      `${message} ${message}`,
      `\ufeff${message}`,
      `${message}\0`,
      `\0${message}`,
      '{"jsonrpc":"2.0","id":1,"method":"ping",}',
      "{'jsonrpc':'2.0'}",
      '{"jsonrpc":"2.0" "id":1}',
      '{"a":"line\nbreak"}',
      '{"a":"tab\there"}',
      '{"a":"\u0000"}',
      '{"a":"\\x"}',
      '{"a":"\\u12"}',
      '{"a":"\\u12g4"}',
      '{"a":01}',
      '{"a":+1}',
      '{"a":.5}',
      '{"a":1.}',
      '{"a":1e}',
      '{"a":-}',
      '{"a":NaN}',
      '{"a":Infinity}',
      '{"a":True}',
      '{"a":nul}',
      '{"a":nulll}',
      '{"a":"b"c}',
      '{"a":1 2}',
      '{"a":1"b"}',
      '{"a"}',
      '{1:2}',
      '{"a":}',
      '{,}',
      '[1,]',
      '[,1]',
      '[1}',
      '{"a":1]',
      '{"a":\\"b"}',
      '{"a":1/*comment*/}',
      '"open',
      '"a" "b"',
      Buffer.from(message, 'utf16le'),
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(message, 'utf16le')]),
    ].map((input) => [input, 'notJson', { id: undefined, kind: undefined }] as const),
  );
});

test('bytes that are not UTF-8 are refused wherever they are, and well-formed ones are kept', () => {
  const inString = (hex: string) =>
    Buffer.concat([
      Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":{"y":["'),
      Buffer.from(hex, 'hex'),
      Buffer.from('"]}}}'),
    ]);
  const bad =
    'c080 c1bf e08080 e09fbf eda080 edbfbf f0808080 f08fbfbf f4908080 f5808080 ff fe 80 bf c2 e0a0 f09080 c228 e2 e28228 f0288c bc fc8080808080 c3c3';
  const good = 'c280 dfbf e0a080 efbfbf ed9fbf ee8080 f0908080 f48fbfbf e282ac f09f9880 efbbbf';
  for (const hex of bad.split(' ')) assert.equal(scan(inString(hex)).status, 'notJson', hex);
  for (const hex of good.split(' ')) assert.equal(scan(inString(hex)).status, 'ok', hex);
});

test('well-formed UTF-8 is found at every distance from a block boundary', () => {
  for (let padding = 0; padding < 200; padding++) {
    const text = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"${'k'.repeat(padding)}":"é€😀\\u00e9\\n\\\\"}}`;
    assert.equal(scan(text).status, 'ok');
    const bytes = Buffer.from(text);
    bytes[bytes.indexOf(0xf0) + 2] = 0x20;
    assert.equal(scan(bytes).status, 'notJson');
  }
});

test('nesting is limited, at the limit and one above, and a syntax error behind it outranks it', () => {
  const nested = (levels: number, tail = '') => `${'['.repeat(levels)}${']'.repeat(levels)}${tail}`;
  for (const depth of [1, 2, 64, 1024, 1500]) {
    assert.equal(describe(scan(nested(depth), depth))['status'], depth === 1 ? 'emptyBatch' : 'ok');
    assert.equal(scan(nested(depth + 1), depth).status, 'tooDeep');
    assert.equal(scan(nested(depth + 1, ']'), depth).status, 'notJson');
  }
  assert.equal(scan('['.repeat(200_000)).status, 'notJson');
  assert.equal(scan(nested(200_000)).status, 'tooDeep');
  assert.equal(scan('{"a":'.repeat(100_000)).status, 'notJson');
  const message = call(`{"name":"n","arguments":${'{"a":'.repeat(62)}1${'}'.repeat(62)}}`);
  assert.equal(scan(message, 64).status, 'ok');
  assert.deepEqual(describe(scan(message, 63)), { status: 'tooDeep', id: '1' });
});

test('keys that policy reads are refused when duplicated or spelled with escapes', () => {
  const duplicates = [
    '{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}',
    '{"jsonrpc":"2.0","id":1,"result":{},"result":{}}',
    '{"jsonrpc":"2.0","id":1,"error":{"code":1},"error":{"code":1}}',
    '{"jsonrpc":"2.0","id":1,"\\u006dethod":"ping"}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","\\u006d\\u0065\\u0074\\u0068\\u006f\\u0064":"x"}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","\\u0070arams":{}}',
    '{"json\\u0072pc":"2.0","id":1,"method":"ping"}',
    ...[
      'name',
      'uri',
      '_meta',
      'arguments',
      'inputResponses',
      'requestState',
      'ref',
      'taskId',
      'cursor',
      'progressToken',
      'requestId',
      'level',
    ].flatMap((key) => [
      call(`{"${key}":1,"${key}":1}`),
      call(`{"${key}":{},"x":[],"${key}":null}`),
      call(`{"${escapeFirst(key)}":1}`),
    ]),
    ...['name', 'uri', 'type'].map((key) => call(`{"ref":{"${key}":"a","${key}":"a"}}`, 'completion/complete')),
    ...['protocolVersion', 'clientCapabilities', 'clientInfo', 'logLevel'].flatMap((key) => [
      call(`{"_meta":{"io.modelcontextprotocol/${key}":1,"io.modelcontextprotocol/${key}":1}}`),
      call(`{"_meta":{"io.modelcontextprotocol\\/${key}":1}}`),
    ]),
    ...['progressToken', 'traceparent'].map((key) => call(`{"_meta":{"${key}":1,"${key}":1}}`)),
    ...['resultType', 'isError', '_meta', 'structuredContent', 'ttlMs', 'cacheScope'].flatMap((key) => [
      `{"jsonrpc":"2.0","id":1,"result":{"${key}":1,"${key}":1}}`,
      `{"jsonrpc":"2.0","id":1,"result":{"${escapeFirst(key)}":1}}`,
    ]),
    '{"jsonrpc":"2.0","id":1,"error":{"code":1,"code":2}}',
  ];
  check(duplicates.map((input) => [input, 'ambiguous', { id: '1' }] as const));
  check([
    ['{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', 'ambiguous', { id: undefined }],
    ['{"jsonrpc":"2.0","\\u0069d":1,"method":"ping"}', 'ambiguous', { id: undefined }],
  ]);
});

function escapeFirst(key: string): string {
  return `\\u${key.charCodeAt(0).toString(16).padStart(4, '0')}${key.slice(1)}`;
}

test('other duplicates and escapes pass', () => {
  check([
    [call('{"name":"n","other":1,"other":2,"arguments":{"a":1,"a":2,"name":"x","name":"y"}}'), 'ok', { name: 'n' }],
    [call('{"name":"n","\\u006fther":1,"_meta":{"x":1,"x":1,"name":1,"name":2}}'), 'ok'],
    [call('{"name":"n","nam\\u0065x":1,"names":2,"nam":3,"Name":4,"\\ud800name":5}'), 'ok', { name: 'n' }],
    ['{"jsonrpc":"2.0","id":1,"method":"ping","name":1,"name":1,"extension":{"id":1,"id":2}}', 'ok'],
    [call('{"name":"n","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'), 'ok'],
  ]);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

test('ids are integers or strings of at most 256 bytes, kept as they are spelled', () => {
  const good = [
    '0',
    '1',
    '-1',
    '-0',
    '9007199254740993',
    '1e2',
    '1E+2',
    '1.0',
    '-1.50e1',
    '10e-1',
    '1000e-3',
    '0.0',
    '0e-5',
    '0.00e-99',
    '1e400',
    '1.5e1',
    '1234567890123456789012345678901234567890',
    '1'.repeat(256),
    '""',
    '"1"',
    '"é"',
    '"\\ud800"',
    '"\\u0031"',
    `"${'x'.repeat(256)}"`,
  ];
  check(good.map((id) => [withId(id), 'ok', { id, kind: 1 }] as const));
  assert.equal(describe(scan(withId('"1"')))['flags'], 'idIsString');
  const bad = [
    'null',
    '1.5',
    '1e-1',
    '0.1',
    '10e-2',
    '1.0e-1',
    '1.05e1',
    '1e-400',
    'true',
    'false',
    '{}',
    '[]',
    '[1]',
    '1'.repeat(257),
    `"${'x'.repeat(257)}"`,
    `1e-${'9'.repeat(100)}`,
  ];
  check(bad.map((id) => [withId(id), 'badId', { id: undefined, kind: 1 }] as const));
});

test('methods are plain strings of 1 to 256 bytes', () => {
  const bad = [
    '1',
    'null',
    '{}',
    '""',
    `"${'m'.repeat(257)}"`,
    '"tools\\/call"',
    '"a\\u0000"',
    '"\\ud800"',
    '"a\u007fb"',
    '[]',
  ];
  check(bad.map((method) => [withMethod(method), 'badMethod', { id: '1', kind: 1 }] as const));
  check([
    [withMethod(`"${'m'.repeat(256)}"`), 'ok', { method: 'm'.repeat(256) }],
    [withMethod('"rpc.discover"'), 'ok', { method: 'rpc.discover', flags: undefined }],
    [withMethod('"notifications/"'), 'ok', { flags: 'methodIsNotification' }],
    [withMethod('"größe"'), 'ok'],
  ]);
  const names = Object.entries(Method);
  for (const [index, method] of METHODS.entries()) {
    if (index > 0) assert.equal(describe(scan(withMethod(`"${method}"`)))['method'], names[index]?.[0], method);
  }
});

test('what is JSON but no JSON-RPC message', () => {
  check(
    [
      '1',
      'null',
      '"x"',
      '{}',
      '{"id":1,"method":"ping"}',
      '{"jsonrpc":2.0,"id":1,"method":"ping"}',
      '{"jsonrpc":"1.0","id":1,"method":"ping"}',
      '{"jsonrpc":"2.\\u0030","id":1,"method":"ping"}',
      '{"jsonrpc":"2.0","id":1}',
      '{"jsonrpc":"2.0"}',
      '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1}}',
      '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
      '{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}',
      '{"jsonrpc":"2.0","id":1,"error":"x"}',
      '{"jsonrpc":"2.0","id":1,"error":null}',
      '{"jsonrpc":"2.0","result":{}}',
    ].map((input) => [input, 'notJsonRpc', { kind: undefined }] as const),
  );
});

test('params are an object', () => {
  for (const params of ['[]', '[1]', 'null', '1', '"x"', 'true']) {
    check([[call(params), 'badParams', { id: '1', kind: 1, method: 'toolsCall' }]]);
  }
  check([
    [call('{}'), 'ok', { params: '{}', flags: 'paramsIsEmpty' }],
    [call('{ }'), 'ok', { params: '{ }', flags: 'paramsIsEmpty' }],
    [withId('1'), 'ok', { params: undefined }],
  ]);
});

test('faults are reported in the order of precedence', () => {
  check([
    ['{"jsonrpc":"1.0","id":1.5,"id":2,"method":5,"params":[],}', 'notJson'],
    ['{"jsonrpc":"1.0","id":1.5,"id":2,"method":5,"params":[]}', 'ambiguous'],
    ['{"jsonrpc":"1.0","id":1.5,"method":5,"params":[]}', 'notJsonRpc'],
    ['{"jsonrpc":"2.0","id":1.5,"method":5,"params":[]}', 'badId'],
    ['{"jsonrpc":"2.0","id":1,"method":5,"params":[]}', 'badMethod'],
    ['{"jsonrpc":"2.0","id":1,"method":"x","params":[]}', 'badParams'],
    [`{"id":1,"id":2,"x":${'['.repeat(70)}${']'.repeat(70)}}`, 'tooDeep'],
  ]);
});

test('each method is routed by its own member', () => {
  const both = '{"name":"n","uri":"u://x","taskId":"t","ref":{"type":"ref/prompt","name":"p","uri":"r://"}}';
  const expected: Record<string, string> = {
    'tools/call': 'n',
    'prompts/get': 'n',
    'resources/read': 'u://x',
    'resources/subscribe': 'u://x',
    'resources/unsubscribe': 'u://x',
    'tasks/get': 't',
    'tasks/result': 't',
    'tasks/cancel': 't',
    'tasks/update': 't',
    'completion/complete': 'p',
  };
  for (const method of METHODS.slice(1)) {
    const seen = describe(scan(call(both, method)));
    assert.equal(seen['name'], expected[method], method);
    assert.equal(String(seen['flags'] ?? '').includes('nameIsUri'), expected[method] === 'u://x', method);
  }
  const complete = (ref: string) => call(`{"ref":${ref}}`, 'completion/complete');
  check([
    [complete('{"type":"ref/resource","name":"p","uri":"r://"}'), 'ok', { name: 'r://', flags: 'nameIsUri' }],
    [complete('{"type":"ref\\/resource","uri":"r://"}'), 'ok', { name: 'r://', flags: 'nameIsUri' }],
    [complete('{"type":"ref/other","name":"p","uri":"r://"}'), 'ok', { name: undefined }],
    [complete('{"name":"p"}'), 'ok', { name: undefined, flags: undefined }],
    [complete('{"type":"ref/prompt","name":5}'), 'ok', { name: undefined, flags: 'nameNotString' }],
    [complete('"p"'), 'ok', { name: undefined, flags: 'nameNotString' }],
    [complete('[]'), 'ok', { name: undefined, flags: 'nameNotString' }],
    [call('{"name":5}'), 'ok', { name: undefined, flags: 'nameNotString' }],
    [call('{"name":null}'), 'ok', { flags: 'nameNotString' }],
    [call('{"uri":"u"}'), 'ok', { name: undefined, flags: undefined }],
    [call('{"name":""}'), 'ok', { name: '' }],
    [call('{"name":"a\\u0062"}'), 'ok', { name: 'a\\u0062', flags: 'nameEscaped' }],
    [call('{"name":"größe"}'), 'ok', { name: 'größe', flags: 'nameNotAscii' }],
    [call('{"name":"\\ud83d\\ude00"}'), 'ok', { flags: 'nameEscaped' }],
    [call('{"name":"\\\\ud800"}'), 'ok', { flags: 'nameEscaped' }],
    ...['\\ud800', '\\udc00', '\\ud800x', '\\ud800\\n', '\\ud800\\ud800', '\\udc00\\ud800', 'x\\uD83D'].map(
      (name) => [call(`{"name":"${name}"}`), 'badParams', { id: '1', name: undefined }] as const,
    ),
    [call('{"arguments":{"x":"\\ud800"},"name":"n"}'), 'ok', { arguments: '{"x":"\\ud800"}' }],
  ]);
});

test('the envelope of a request is found in any order, with any whitespace', () => {
  const text = ` {\t"params" : { "_meta" : { "traceparent":"00-a" , "io.modelcontextprotocol/logLevel":"info",
    "io.modelcontextprotocol/clientInfo": {"name":"c"}, "io.modelcontextprotocol/clientCapabilities" :{ },
    "io.modelcontextprotocol/protocolVersion": "2026-07-28" , "progressToken" : 7 } , "cursor":"c1","requestState":"s",
    "inputResponses":{"a":1}, "arguments" : [1, 2 ] , "requestId": 12 , "name" : "n" }\r\n, "method":"tools/call" , "id" : "x" , "jsonrpc":"2.0" } \n`;
  const seen = describe(scan(text));
  delete seen['params'];
  delete seen['meta'];
  assert.deepEqual(seen, {
    status: 'ok',
    kind: 1,
    method: 'toolsCall',
    id: '"x"',
    name: 'n',
    arguments: '[1, 2 ]',
    progressToken: '7',
    claim: '"2026-07-28"',
    capabilities: '{ }',
    clientInfo: '{"name":"c"}',
    level: '"info"',
    cursor: '"c1"',
    requestId: '12',
    inputResponses: '{"a":1}',
    requestState: '"s"',
    traceparent: '"00-a"',
    flags: 'idIsString claimIsString capabilitiesIsObject metaIsObject',
  });
});

test('members of _meta that are of other types are distinguished', () => {
  check([
    [call('{"_meta":{}}'), 'ok', { meta: '{}', flags: 'metaIsObject metaIsEmpty' }],
    [call('{"_meta":null}'), 'ok', { meta: 'null', flags: undefined }],
    [call('{"_meta":[{"progressToken":1}]}'), 'ok', { progressToken: undefined }],
    [call('{"_meta":{"io.modelcontextprotocol/protocolVersion":5}}'), 'ok', { claim: '5', flags: 'metaIsObject' }],
    [
      call('{"_meta":{"progressToken":"t"}}'),
      'ok',
      { progressToken: '"t"', flags: 'metaIsObject progressTokenIsString' },
    ],
    [call('{"progressToken":"t"}'), 'ok', { progressToken: undefined }],
    [
      call('{"progressToken":"t","_meta":{"progressToken":1}}', 'notifications/progress'),
      'ok',
      { progressToken: '"t"' },
    ],
    [call('{"level":"debug"}', 'logging/setLevel'), 'ok', { level: '"debug"' }],
    [call('{"level":"debug"}', 'notifications/message'), 'ok', { level: '"debug"' }],
    [call('{"level":"debug"}'), 'ok', { level: undefined }],
    [
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r"}}',
      'ok',
      { kind: 2, requestId: '"r"' },
    ],
  ]);
});
