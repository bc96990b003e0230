/**
 * Requests with damaged bytes, for tests that send them.
 *
 * SWITCHYARD_FUZZ_MS: how long each such test runs, ms. SWITCHYARD_FUZZ_SEED: repeats a run. Without them a run is short
 * and the same every time.
 */
import fc from 'fast-check';
import { post } from '../request/accept/fixture.js';
import { HTTP_ROWS } from './http-rows.js';

/** Of the first batch; each one after it has the next number. */
export const SEED: number = Number(process.env['SWITCHYARD_FUZZ_SEED'] ?? 20_260_728);
const FUZZ_MS = Number(process.env['SWITCHYARD_FUZZ_MS'] ?? 0);
const BATCH = 500;

/**
 * Batches of mutations until the time is over.
 *
 * @param least batches that are made however short the time is
 */
export function* batches(least: number): Generator<readonly Mutation[]> {
  const until = Date.now() + FUZZ_MS;
  for (let count = 0; count < least || Date.now() < until; count += 1) {
    yield fc.sample(mutation, { numRuns: BATCH, seed: (SEED + count) | 0 });
  }
}

/** Single bytes that matter to HTTP parsers, beside arbitrary ones. */
const TELLING = [0x00, 0x09, 0x0a, 0x0b, 0x0d, 0x20, 0x2c, 0x2d, 0x30, 0x3a, 0x3b, 0x5f, 0x7f, 0x80, 0xff];

const seeds = HTTP_ROWS.flatMap((row) => (typeof row.data === 'string' ? [Buffer.from(row.data, 'latin1')] : []));

const legal = [
  post('{"a":1}'),
  post('{"legal":true}', [
    'Authorization: Bearer abc',
    'Mcp-Session-Id: s',
    'Mcp-Param-A: b',
    'Origin: http://localhost',
  ]),
  chunked('7\r\n{"a":1}\r\n0\r\n\r\n'),
  chunked('7\r\n{"a":1,\r\nf\r\n"chunked":true}\r\n0\r\n\r\n'),
];

function chunked(body: string): Buffer {
  const head = 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked';
  return Buffer.from(`${head}\r\n\r\n${body}`, 'latin1');
}

/** A request, and what is done to its bytes. */
export interface Mutation {
  readonly seed: Buffer;
  readonly edits: readonly {
    readonly at: number;
    readonly kind: 'replace' | 'insert' | 'remove' | 'repeat';
    readonly byte: number;
    readonly length: number;
  }[];
  /** Where the bytes are cut into two segments. */
  readonly cut: number;
}

export const mutation: fc.Arbitrary<Mutation> = fc.record({
  seed: fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...seeds) },
    { weight: 4, arbitrary: fc.constantFrom(...legal) },
  ),
  edits: fc.array(
    fc.record({
      at: fc.nat(100_000),
      kind: fc.constantFrom('replace', 'insert', 'remove', 'repeat'),
      byte: fc.oneof(fc.constantFrom(...TELLING), fc.nat(255), fc.integer({ min: 0x30, max: 0x7a })),
      length: fc.oneof(
        { weight: 3, arbitrary: fc.integer({ min: 1, max: 3 }) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }) },
      ),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  cut: fc.nat(400),
});

export function apply({ seed, edits }: Mutation): Buffer {
  let bytes = seed;
  for (const { at, kind, byte, length } of edits) {
    const position = at % (bytes.byteLength + 1);
    const before = bytes.subarray(0, position);
    const after = bytes.subarray(position);
    if (kind === 'replace') bytes = Buffer.concat([before, Buffer.from([byte]), after.subarray(1)]);
    else if (kind === 'insert') bytes = Buffer.concat([before, Buffer.from([byte]), after]);
    else if (kind === 'remove') bytes = Buffer.concat([before, after.subarray(length)]);
    else bytes = Buffer.concat([before, after.subarray(0, length), after]);
  }
  return bytes;
}
