/**
 * Opaque tokens that an authorization server is asked about (RFC 7662). The front asks (src/control/credentials/introspection.ts), once for
 * all workers; this checks what it says. A principal lasts as long as the answer counts.
 */
import type { IntrospectionProvider } from '../../src/config/snapshot/auth.js';
import { errorNumber } from '../../src/errors.js';
import { claimList } from './claims.js';
import type { Inquiries } from './inquiries.js';
import { NEVER, principal } from './principal.js';
import {
  type Accepted,
  type Judge,
  type ProviderContext,
  type RefusalLog,
  type Refused,
  refused,
  unavailable,
} from './verifier.js';

const INVALID_TOKEN = errorNumber('GW_INVALID_TOKEN');
/** A longer token is refused without being sent. */
const MAX_TOKEN_BYTES = 8_192;
/** The characters of a bearer token (RFC 6750 section 2.1). */
const TOKEN_BYTES = new Uint8Array(256);
for (const byte of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=')) {
  TOKEN_BYTES[byte] = 1;
}

/** Members that name the subject where an answer has no `sub`, which is optional (RFC 7662 section 2.2). */
const OTHER_SUBJECTS = ['username', 'client_id'];

/** See the file comment. One per worker and authentication settings. */
export class Introspection implements Judge {
  readonly #settings: IntrospectionProvider;
  readonly #realm: string;
  readonly #subjectClaims: readonly string[];
  readonly #inquiries: Inquiries;
  readonly #refusals: RefusalLog;

  constructor(settings: IntrospectionProvider, { inquiries, realm, refusals }: ProviderContext) {
    this.#realm = realm;
    this.#settings = settings;
    const { subjectClaim } = settings;
    // Another member than `sub` was chosen, and nothing else takes its place.
    this.#subjectClaims = subjectClaim === 'sub' ? [subjectClaim, ...OTHER_SUBJECTS] : [subjectClaim];
    this.#inquiries = inquiries;
    this.#refusals = refusals;
  }

  fits(bytes: Uint8Array, start: number, end: number): boolean {
    if (end === start || end - start > MAX_TOKEN_BYTES) return false;
    for (let i = start; i < end; i += 1) if (TOKEN_BYTES[bytes[i]!] === 0) return false;
    return true;
  }

  async judge(token: string): Promise<Accepted | Refused> {
    const settings = this.#settings;
    const realm = this.#realm;
    const url = settings.introspectionUrl;
    const answer = await this.#inquiries.ask({ kind: 'introspect', realm, url, token });
    if (answer.outcome === 'unavailable') return unavailable(settings);
    // The front has checked `exp`, and remembers it for `negativeCacheMs`.
    if (answer.outcome !== 'active') return refused(INVALID_TOKEN, false);
    const { claims, until } = answer;
    const now = Date.now() / 1_000;
    const claim = this.#subjectClaims.find((name) => !isMissing(claims[name]));
    const subject = claim === undefined ? undefined : claims[claim];
    const { iss, aud, nbf, iat } = claims;
    const audiences = Array.isArray(aud) ? aud : [aud];
    let fault: string | null = null;
    if (claim === undefined)
      fault = `the answer names no subject in ${this.#subjectClaims.map((name) => `"${name}"`).join(', ')}`;
    else if (typeof subject !== 'string') fault = `the subject in "${claim}" is no text`;
    else if (settings.issuer !== null && iss !== undefined && iss !== settings.issuer)
      fault = 'it is of another issuer';
    else if (settings.audience.length > 0 && !settings.audience.some((one) => audiences.includes(one)))
      fault = 'it is for another audience';
    else if (typeof nbf === 'number' && nbf > now) fault = 'it is not valid yet';
    if (fault !== null) {
      this.#refusals.tokenRefused(`a token that is active by introspection was refused: ${fault}`);
      return refused(INVALID_TOKEN);
    }
    const grant = {
      subject: subject as string,
      scopes: claimList(claims, settings.scopeClaims),
      permissions: claimList(claims, settings.permissionClaims),
    };
    // A user is not the client of the same name.
    const kind = claim === settings.subjectClaim ? 'oauth2' : `oauth2 ${claim}`;
    const found = principal(realm, kind, url, grant, Math.min(NEVER, until));
    return { principal: found, issuedAt: typeof iat === 'number' ? iat : null, tolerance: 0 };
  }
}

/** Whether a member says nothing. */
function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}
