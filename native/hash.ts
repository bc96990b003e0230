/**
 * The seeded 64-bit hash of the decoders: two 32-bit lanes in the manner of MurmurHash3_x86_128, made of
 * operations that `Math.imul` and C++ `uint32_t` do alike. `scan-core.cc` has the same function.
 */

const A1 = 0xcc9e2d51 | 0;
const A2 = 0x1b873593 | 0;
const B1 = 0x85ebca6b | 0;
const B2 = 0xc2b2ae35 | 0;

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function finish(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, B1);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, B2);
  return mixed ^ (mixed >>> 16);
}

/** The little-endian word of the four bytes at `at`. */
function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/**
 * Hashes `bytes[start, end)` into `out[slot]` (low lane) and `out[slot + 1]` (high lane).
 *
 * @param low - low half of the seed
 * @param high - high half of the seed
 */
export function hashBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  low: number,
  high: number,
  out: Int32Array,
  slot: number,
): void {
  const length = end - start;
  let first = low | 0;
  let second = high | 0;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const a = wordAt(bytes, at);
    const b = wordAt(bytes, at + 4);
    first ^= Math.imul(rotate(Math.imul(a, A1), 15), A2);
    first = (Math.imul((rotate(first, 13) + second) | 0, 5) + 0x561ccd1b) | 0;
    second ^= Math.imul(rotate(Math.imul(b, B1), 16), B2);
    second = (Math.imul((rotate(second, 17) + first) | 0, 5) + 0x0bcaa747) | 0;
  }
  let a = 0;
  let b = 0;
  for (let shift = 0; at < end; at++, shift += 8) {
    const byte = bytes[at]!;
    if (shift < 32) a |= byte << shift;
    else b |= byte << (shift - 32);
  }
  first ^= Math.imul(rotate(Math.imul(a, A1), 15), A2);
  second ^= Math.imul(rotate(Math.imul(b, B1), 16), B2);
  first ^= length;
  second ^= length;
  first = (first + second) | 0;
  second = (second + first) | 0;
  first = finish(first);
  second = finish(second);
  first = (first + second) | 0;
  second = (second + first) | 0;
  out[slot] = first;
  out[slot + 1] = second;
}
