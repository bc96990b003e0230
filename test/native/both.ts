/** Both decoders, and scans that fail when they differ. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { decoderReason, nativeDecoder, typescriptDecoder } from '../../native/index.js';
import { type Decoder, Flag, Method, ScanStatus, SPAN_COUNT, Span } from '../../native/layout.js';

/** Every decoder that runs here: both where a C++ compiler is, as a test asserts. */
export const decoders: readonly Decoder[] =
  nativeDecoder === null ? [typescriptDecoder] : [typescriptDecoder, nativeDecoder];

/** Whether this machine can build the addon. */
export const hasCompiler: boolean = ['g++', 'make', 'python3'].every(
  (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0,
);

export { decoderReason };

/** What a scan says, under the names of the layout. */
export interface Scan {
  readonly status: string;
  readonly spans: Int32Array;
  readonly bytes: Uint8Array;
}

const encoder = new TextEncoder();

/** Bytes of a text; a `Uint8Array` is passed through. */
export function toBytes(input: string | Uint8Array): Uint8Array {
  return typeof input === 'string' ? encoder.encode(input) : input;
}

/** Name of a status. */
export function statusName(status: number): string {
  return Object.entries(ScanStatus).find(([, value]) => value === status)?.[0] ?? `unknown ${status}`;
}

/** Scans with every decoder and asserts that they agree in status and in every slot. */
export function scan(input: string | Uint8Array, maxDepth = 64): Scan {
  const bytes = toBytes(input);
  let first: Scan | undefined;
  for (const decoder of decoders) {
    // What an earlier scan left must not shine through.
    const spans = new Int32Array(SPAN_COUNT).fill(0x5eed);
    const status = statusName(decoder.scan(bytes, bytes.length, spans, maxDepth));
    if (first === undefined) first = { status, spans, bytes };
    else if (status !== first.status || !spans.every((slot, index) => slot === first?.spans[index])) {
      assert.deepEqual(
        describe({ status, spans, bytes }),
        describe(first),
        `decoders differ on ${JSON.stringify(Buffer.from(bytes.subarray(0, 2000)).toString('latin1'))}`,
      );
    }
  }
  return first as Scan;
}

/** A scan as a readable object: only the slots that say something. */
export function describe({ status, spans, bytes }: Scan): Record<string, unknown> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const description: Record<string, unknown> = { status };
  for (const [name, slot] of Object.entries(Span)) {
    if (name.endsWith('Start')) {
      const start = spans[slot];
      const end = spans[slot + 1];
      if (start !== -1 || end !== -1) description[name.slice(0, -5)] = text.subarray(start, end).toString();
    } else if (!name.endsWith('End') && !name.startsWith('nameHash') && spans[slot] !== 0)
      description[name] = spans[slot];
  }
  const flags = Object.entries(Flag).flatMap(([name, bit]) => ((spans.flags & bit) === 0 ? [] : [name]));
  if (flags.length > 0) description['flags'] = flags.join(' ');
  const method = Object.entries(Method).find(([, id]) => id === spans.method);
  if (spans.method !== 0) description['method'] = method?.[0];
  return description;
}

/** Input, status, and the slots that matter. */
export type Row = readonly [input: string | Uint8Array, status: string, slots?: Readonly<Record<string, unknown>>];

/** Scans each row with both decoders and compares what it names. */
export function check(rows: readonly Row[]): void {
  for (const [input, status, slots = {}] of rows) {
    const seen = describe(scan(input));
    const label = typeof input === 'string' ? input.slice(0, 200) : Buffer.from(input).toString('hex');
    assert.equal(seen['status'], status, label);
    for (const [slot, expected] of Object.entries(slots)) assert.deepEqual(seen[slot], expected, `${slot} of ${label}`);
  }
}
