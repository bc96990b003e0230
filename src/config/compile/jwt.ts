/** The provider `jwt`: keys read and checked as far as is possible without a request. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Scheme } from '../../shared/scheme.js';
import { type ConfigPath, showPath } from '../problems.js';
import type { Algorithm } from '../schema/auth.js';
import { list } from '../schema/fields.js';
import type { ResolvedConfig } from '../schema/index.js';
import type { JwtProvider } from '../snapshot/auth.js';
import type { Compilation } from './compilation.js';
import { isLoopbackHost } from './loopback.js';

type Written = Extract<ResolvedConfig['auth'], readonly unknown[]>[number];
type JwtConfig = Extract<Written, { type: 'jwt' }>;

/** Smallest secret in bytes: as long as the hash (RFC 7518 3.2). */
const SECRET_BYTES: Readonly<Partial<Record<Algorithm, number>>> = { HS256: 32, HS384: 48, HS512: 64 };

/** @param at path of the provider */
export function compileJwt(compilation: Compilation, auth: JwtConfig, at: ConfigPath): JwtProvider {
  const sources = (['secret', 'publicKey', 'publicKeyFile', 'jwksUrl'] as const).filter(
    (key) => auth[key] !== undefined,
  );
  if (sources.length !== 1) {
    compilation.problem(
      [...at, ...(sources[1] === undefined ? [] : [sources[1]])],
      'needs exactly one of "secret", "publicKey", "publicKeyFile" and "jwksUrl"',
    );
  }
  const symmetric = auth.secret !== undefined;
  const algorithms = acceptedAlgorithms(auth.algorithms, symmetric);
  for (const algorithm of algorithms) {
    // Accepting both families permits the attack that signs with the public key as a secret (RFC 8725 2.1).
    if (algorithm.startsWith('HS') !== symmetric) {
      compilation.problem(
        [...at, 'algorithms'],
        symmetric ? `${algorithm} needs a public key, not "secret"` : `${algorithm} needs "secret", not a public key`,
      );
    }
    const bytes = SECRET_BYTES[algorithm];
    if (symmetric && bytes !== undefined && Buffer.byteLength(auth.secret as string) < bytes) {
      compilation.problem([...at, 'secret'], `must be at least ${bytes} bytes long for ${algorithm} (RFC 7518 3.2)`);
    }
  }
  if (list(auth.audience).length === 0) compilation.problem([...at, 'audience'], 'must name at least one audience');
  if (auth.jwksUrl !== undefined) checkServerUrl(compilation, auth.jwksUrl, [...at, 'jwksUrl']);
  return {
    type: 'jwt',
    scheme: Scheme.bearer,
    waitsFor: auth.jwksUrl === undefined ? null : `the keys of ${showPath([...at, 'jwksUrl'])}`,
    algorithms,
    secret: auth.secret ?? null,
    publicKey: publicKey(compilation, auth, algorithms, at),
    jwksUrl: auth.jwksUrl === undefined ? null : new URL(auth.jwksUrl).href,
    jwksCooldownMs: auth.jwksCooldownMs,
    jwksMaxAgeMs: auth.jwksMaxAgeMs,
    issuer: auth.issuer ?? null,
    audience: list(auth.audience),
    clockToleranceSeconds: auth.clockToleranceSeconds,
    verifyExpiry: auth.verifyExpiry,
    subjectClaim: auth.subjectClaim,
    scopeClaims: auth.scopeClaims,
    permissionClaims: auth.permissionClaims,
  };
}

function acceptedAlgorithms(written: JwtConfig['algorithms'], symmetric: boolean): readonly Algorithm[] {
  if (written === undefined) return symmetric ? ['HS256'] : ['RS256', 'PS256', 'ES256', 'EdDSA'];
  return typeof written === 'string' ? [written] : written;
}

/** Keys and answers of a server decide who gets in, so nothing but TLS may stand between. */
export function checkServerUrl(compilation: Compilation, text: string, path: ConfigPath): void {
  const url = new URL(text);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    compilation.problem(path, 'must start with https:// (http:// only for a loopback host)');
  }
  if (url.username !== '' || url.password !== '') {
    compilation.problem(path, 'must not hold a user name or password');
  }
}

function publicKey(
  compilation: Compilation,
  auth: JwtConfig,
  algorithms: readonly Algorithm[],
  at: ConfigPath,
): string | null {
  if (auth.publicKey !== undefined) {
    return checkKey(compilation, auth.publicKey, [...at, 'publicKey'], algorithms);
  }
  if (auth.publicKeyFile === undefined) return null;
  const path = [...at, 'publicKeyFile'];
  try {
    const text = readFileSync(resolve(compilation.loaded.folder, auth.publicKeyFile), 'utf8');
    return checkKey(compilation, text, path, algorithms);
  } catch {
    compilation.problem(path, 'the file cannot be read');
    return null;
  }
}

/** Reads the key, so that a problem is reported with its position, before any worker uses the key. */
function checkKey(compilation: Compilation, text: string, path: ConfigPath, algorithms: readonly Algorithm[]): string {
  // A variable often holds a PEM on one line, its line breaks written as \n.
  const key = text.trim().replaceAll('\\n', '\n');
  const json = key.startsWith('{');
  if (/PRIVATE KEY/.test(key) || (json && /"(d|k)"\s*:/.test(key))) {
    compilation.problem(path, 'is a private or secret key; give the public one');
  } else if (!json && !/^-----BEGIN (PUBLIC KEY|CERTIFICATE)-----/.test(key)) {
    compilation.problem(
      path,
      'must be PEM ("-----BEGIN PUBLIC KEY-----" or "-----BEGIN CERTIFICATE-----") or JWK JSON',
    );
  } else {
    const keys = readKeys(key, json);
    if (keys === null) compilation.problem(path, 'is not a public key that can be read');
    else if (!keys.some((one) => algorithms.some((algorithm) => fits(one, algorithm)))) {
      compilation.problem(path, `fits none of the algorithms ${algorithms.join(', ')}`);
    }
  }
  return key;
}

function readKeys(text: string, json: boolean): KeyObject[] | null {
  try {
    if (!json) return [createPublicKey(text)];
    const document = JSON.parse(text) as { keys?: unknown };
    const list = Array.isArray(document.keys) ? (document.keys as JsonWebKey[]) : [document as JsonWebKey];
    return list.map((key) => createPublicKey({ key, format: 'jwk' }));
  } catch {
    return null;
  }
}

const CURVES: Readonly<Partial<Record<Algorithm, string>>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};

/** Whether a key can verify an algorithm (RFC 7518 3.3 to 3.5, RFC 8037 3.1). */
function fits(key: KeyObject, algorithm: Algorithm): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'rsa') return /^[RP]S/.test(algorithm) && (details?.modulusLength ?? 0) >= 2_048;
  if (type === 'ec') return CURVES[algorithm] === details?.namedCurve;
  return type === 'ed25519' && algorithm === 'EdDSA';
}
