/**
 * Checks of a token's claims besides those of the library: valid times, and no repeated name. Made once for each token, after
 * its signature.
 */
import { errors, type JWTPayload } from 'jose';
import { decodeString, JsonCursor } from '../../src/protocol/json-cursor.js';
import type { Seconds } from '../../src/units.js';

/** The last second, on either side of 1970, that a date can have (ECMA-262 section 21.4.1.1). */
const LATEST: Seconds = 8.64e12;
const OPEN_OBJECT = 0x7b;

/**
 * Refuses invalid times: `exp` is required, and `exp`, `nbf` and `iat` are numbers (RFC 7519 section 2,
 * fractions included) within the range of dates, so that 1e400 does not mean "never". A token that was issued
 * later than now has a wrong `iat`, or comes from a clock that is further off than the tolerance allows.
 *
 * @param seconds wall clock, seconds since the epoch
 * @param needsExpiry false = `exp` may be missing (`auth.verifyExpiry`)
 * @throws JWTClaimValidationFailed
 */
export function checkTimes(payload: JWTPayload, seconds: Seconds, tolerance: Seconds, needsExpiry = true): void {
  for (const claim of ['exp', 'nbf', 'iat'] as const) {
    const value: unknown = payload[claim];
    if (value === undefined && (claim !== 'exp' || !needsExpiry)) continue;
    if (typeof value !== 'number' || !(Math.abs(value) <= LATEST)) {
      const sentence = value === undefined ? 'the "exp" claim is missing' : `the "${claim}" claim is not a time`;
      throw new errors.JWTClaimValidationFailed(sentence, payload, claim, 'invalid');
    }
  }
  if (payload.iat !== undefined && payload.iat > seconds + tolerance) {
    throw new errors.JWTClaimValidationFailed('the "iat" claim is in the future', payload, 'iat', 'check_failed');
  }
}

/**
 * Refuses a token whose header or claims set names a member twice: parsers differ in which one counts (RFC 7515
 * section 4, RFC 7519 section 4 leave the choice to refuse).
 *
 * @param token whose signature was verified, so that its parts are JSON objects
 * @throws JWTInvalid
 */
export function checkNames(token: string): void {
  const [header = '', payload = ''] = token.split('.', 2);
  for (const part of [header, payload]) {
    const bytes = Buffer.from(part, 'base64url');
    const names = new Set<string>();
    const cursor = new JsonCursor(bytes, bytes.indexOf(OPEN_OBJECT));
    while (cursor.next()) {
      const name = decodeString(bytes, cursor.keyStart, cursor.keyEnd);
      if (names.has(name)) throw new errors.JWTInvalid('a name is repeated in its header or claims');
      names.add(name);
    }
  }
}

/** The texts of all claims of that name that are there: lists, or strings with spaces (RFC 8693 section 4.2). */
export function claimList(claims: Readonly<Record<string, unknown>>, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const value = claims[name];
    if (typeof value === 'string') return value.split(' ').filter((text) => text !== '');
    return Array.isArray(value) ? value.filter((text): text is string => typeof text === 'string') : [];
  });
}
