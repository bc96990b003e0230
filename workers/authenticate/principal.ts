import { createHash } from 'node:crypto';
import type { Grant } from '../../src/config/snapshot/auth.js';
import { NEVER } from '../../src/shared/ring/verdict-record.js';

export { NEVER } from '../../src/shared/ring/verdict-record.js';

/** The client of a request. Immutable; shared by all requests with one credential. */
export interface Principal {
  readonly subject: string;
  readonly scopes: ReadonlySet<string>;
  /** What it may do (`routes[].permissions`). */
  readonly permissions: ReadonlySet<string>;
  /** Facts of the configuration about it; the gateway gives them no meaning. */
  readonly metadata: Readonly<Record<string, string>>;
  /** 128 bits over realm, provider, issuer and subject; all 0 = anonymous. */
  readonly digest: Int32Array;
  /** Seconds since the epoch; {@link NEVER} when the credential does not expire by itself. */
  readonly expiresAt: number;
}

const NO_METADATA: Principal['metadata'] = Object.freeze({});

/** The principal of requests without authentication. */
export const ANONYMOUS: Principal = {
  subject: '',
  scopes: new Set(),
  permissions: new Set(),
  metadata: NO_METADATA,
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

/**
 * A principal. The same subject is another principal in another realm, or with another provider or issuer.
 *
 * @param realm see `AuthSnapshot.realm`
 * @param kind type of the provider
 * @param issuer '' where the configuration itself names the subjects
 */
export function principal(
  realm: string,
  kind: string,
  issuer: string,
  { subject, scopes, permissions, metadata = NO_METADATA }: Omit<Grant, 'metadata'> & Partial<Pick<Grant, 'metadata'>>,
  expiresAt: number,
): Principal {
  return {
    subject,
    scopes: new Set(scopes),
    permissions: new Set(permissions),
    metadata,
    // Without the realm of the gateway itself, so that sessions outlive the first view with `auth`.
    digest: realm === '' ? digest128(kind, issuer, subject) : digest128(kind, issuer, subject, realm),
    expiresAt,
  };
}
