/** Passwords hashed by scrypt (RFC 7914), as PHC strings: `$scrypt$ln=15,r=8,p=1$SALT$HASH`, base64 without padding. */

/** The parts of such a hash. */
export interface ScryptHash {
  /** CPU and memory cost, a power of two. */
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

const MAX_LN = 20;
const MAX_P = 16;
/** Most memory of one check, bytes. */
export const MAX_SCRYPT_BYTES = 256 * 1024 * 1024;
const MIN_HASH_BYTES = 16;

/** Reads a PHC string. @returns null when it is none, or one whose check would cost too much */
export function parseScrypt(text: string): ScryptHash | null {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{2,128})\$([A-Za-z0-9+/]{2,256})$/.exec(
    text,
  );
  if (match === null) return null;
  const [ln, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const hash = Buffer.from(match[5] ?? '', 'base64');
  const N = 2 ** ln;
  const isCheap = ln >= 1 && ln <= MAX_LN && r >= 1 && p >= 1 && p <= MAX_P && 128 * N * r <= MAX_SCRYPT_BYTES;
  if (!isCheap || hash.length < MIN_HASH_BYTES) return null;
  return { N, r, p, salt: Buffer.from(match[4] ?? '', 'base64'), hash };
}
