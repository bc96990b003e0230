import { createHash, hash } from 'node:crypto';

const scratch = Buffer.alloc(16 * 1024);
/** `crypto.hash` is newer than the oldest supported Node 20. */
const oneShot = typeof hash === 'function';

/**
 * SHA-256 of `bytes[start, end)` as a 32-character latin1 string: the key of tables of tokens, so that no
 * table contains a token and the time of comparing keys reveals nothing about a token.
 */
export function digestOf(bytes: Buffer, start: number, end: number): string {
  const length = end - start;
  // The bytes lie in shared memory, which the crypto functions refuse: they are copied first.
  const copy = length <= scratch.length ? scratch : Buffer.alloc(length);
  bytes.copy(copy, 0, start, end);
  const view = copy.subarray(0, length);
  const digest = oneShot
    ? hash('sha256', view, 'latin1' as 'hex')
    : createHash('sha256')
        .update(view)
        .digest('latin1' as 'hex');
  if (length <= scratch.length) scratch.fill(0, 0, length);
  return digest;
}
