import { createHash } from 'node:crypto';

/** The client of a request. Immutable; shared by all requests with one token. */
export interface Principal {
  readonly subject: string;
  readonly scopes: ReadonlySet<string>;
  /** What it may do (`routes[].permissions`). */
  readonly permissions: ReadonlySet<string>;
  /** 128 bits over issuer and subject; all 0 = anonymous. */
  readonly digest: Int32Array;
  /** Seconds since the epoch; {@link NEVER} when the token does not expire by itself. */
  readonly expiresAt: number;
}

/** The last second an Int32 word can hold. */
export const NEVER = 0x7fffffff;

/** The principal of requests without authentication. */
export const ANONYMOUS: Principal = {
  subject: '',
  scopes: new Set(),
  permissions: new Set(),
  digest: new Int32Array(4),
  expiresAt: NEVER,
};

/** 128 bits of SHA-256 over parts with their lengths. */
function digest128(...parts: readonly string[]): Int32Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  const bytes = hash.digest();
  return Int32Array.from({ length: 4 }, (_, i) => bytes.readInt32LE(i * 4));
}

/** A principal of an issuer. */
export function principal(
  issuer: string,
  subject: string,
  scopes: Iterable<string>,
  expiresAt: number,
  permissions: Iterable<string> = [],
): Principal {
  return {
    subject,
    scopes: new Set(scopes),
    permissions: new Set(permissions),
    digest: digest128(issuer, subject),
    expiresAt,
  };
}
