import { errorNumber } from '../../src/errors.js';
import { CREDENTIAL_SEPARATOR } from '../../src/shared/scheme.js';
import { NEVER, principal } from './principal.js';
import { type Accepted, type Judge, type Refused, refused } from './verifier.js';

const INVALID_TOKEN = errorNumber('GW_INVALID_TOKEN');
/** Longest values of all headers together. */
const MAX_BYTES = 8_192;

/**
 * Subject, scopes and permissions as a trusted proxy says them. Accept has checked that the peer is one of `trustedProxies`, and
 * passes the values of the headers joined by {@link CREDENTIAL_SEPARATOR}.
 */
export class ProxyHeaders implements Judge {
  readonly #realm: string;

  /** @param realm see `AuthSnapshot.realm` */
  constructor(realm: string) {
    this.#realm = realm;
  }

  fits(_bytes: Uint8Array, start: number, end: number): boolean {
    return end > start && end - start <= MAX_BYTES;
  }

  judge(credential: string): Promise<Accepted | Refused> {
    const [subject = '', scopes = '', permissions = ''] = credential.split(CREDENTIAL_SEPARATOR);
    if (subject === '') return Promise.resolve(refused(INVALID_TOKEN));
    const grant = { subject, scopes: listOf(scopes), permissions: listOf(permissions) };
    return Promise.resolve({
      principal: principal(this.#realm, 'proxyHeader', '', grant, NEVER),
      issuedAt: null,
      tolerance: 0,
    });
  }
}

/** Proxies write lists with spaces or with commas. */
function listOf(value: string): string[] {
  return value.split(/[ ,]+/).filter((part) => part !== '');
}
