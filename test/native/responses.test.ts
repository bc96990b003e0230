import { test } from 'node:test';
import { check } from './both.js';

const withId = (id: string) => `{"jsonrpc":"2.0","id":${id},"method":"ping"}`;

test('responses', () => {
  const result = (value: string) => `{"jsonrpc":"2.0","id":7,"result":${value}}`;
  check([
    [result('{}'), 'ok', { kind: 3, result: '{}', flags: 'resultIsObject resultIsEmpty' }],
    [result('[1]'), 'ok', { result: '[1]', flags: undefined }],
    [result('null'), 'ok', { result: 'null' }],
    [result('{"isError":true,"content":[]}'), 'ok', { flags: 'resultIsObject isError' }],
    [result('{"isError":false}'), 'ok', { flags: 'resultIsObject' }],
    [result('{"isError":"true"}'), 'ok', { flags: 'resultIsObject' }],
    [result('{"ttlMs":5}'), 'ok', { flags: 'resultIsObject hasCacheHints' }],
    [result('{"cacheScope":"private"}'), 'ok', { flags: 'resultIsObject hasCacheHints' }],
    [result('{"resultType":"complete"}'), 'ok', { resultType: '"complete"', flags: 'resultIsObject resultComplete' }],
    [result('{"resultType":"input_required"}'), 'ok', { flags: 'resultIsObject resultInputRequired' }],
    [result('{"resultType":"completed"}'), 'ok', { flags: 'resultIsObject' }],
    [result('{"structuredContent":{}}'), 'ok', { flags: 'resultIsObject' }],
    [result('{"structuredContent":[]}'), 'ok', { flags: 'resultIsObject structuredNotObject' }],
    [result('{"_meta":{"a":1}}'), 'ok', { meta: '{"a":1}', flags: 'metaIsObject resultIsObject' }],
    ['{"jsonrpc":"2.0","id":null,"result":{}}', 'ok', { kind: 3, id: undefined }],
    [
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}',
      'ok',
      { kind: 3, id: undefined, errorCode: -32700 },
    ],
    ['{"jsonrpc":"2.0","error":{"code":-32700}}', 'ok', { kind: 3, id: undefined, flags: 'isErrorResponse' }],
    ['{"jsonrpc":"2.0","id":"a","error":{}}', 'ok', { id: '"a"', errorCode: undefined }],
    ['{"jsonrpc":"2.0","id":1.5,"result":{}}', 'badId', { kind: 3, id: undefined }],
  ]);
  const codes: Record<string, number | undefined> = {
    '1': 1,
    '-32603': -32603,
    '2147483647': 2147483647,
    '-2147483648': -2147483648,
    '2147483648': undefined,
    '-2147483649': undefined,
    '1.0': undefined,
    '1e2': undefined,
    '"5"': undefined,
    null: undefined,
    '-0': undefined,
    '99999999999999999999': undefined,
    '{}': undefined,
  };
  for (const [code, expected] of Object.entries(codes)) {
    check([[`{"jsonrpc":"2.0","id":1,"error":{"code":${code}}}`, 'ok', { errorCode: expected }]]);
  }
});

test('batches are counted, empty ones refused', () => {
  check([
    ['[]', 'emptyBatch'],
    [' [ ] ', 'emptyBatch'],
    ['[1]', 'ok', { kind: 4, batchCount: 1 }],
    [` [${withId('1')} , ${withId('2')},[],"x"]`, 'ok', { kind: 4, batchCount: 4, id: undefined }],
    ['[1,2', 'notJson'],
  ]);
});
