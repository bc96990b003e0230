/** Keys, tokens and a real key server on loopback for the tests of authentication. */
import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JwtProvider } from '../../../src/config/snapshot/auth.js';
import { CredentialChecks } from '../../../src/control/credentials/checks.js';
import { checkPassword } from '../../../src/control/threads/check-password.js';
import { ERROR_CODES } from '../../../src/errors.js';
import { Counters, counterMemory } from '../../../src/shared/counters.js';
import { Scheme } from '../../../src/shared/scheme.js';
import { Authenticator, Outcome } from '../../../workers/authenticate/index.js';
import { Inquiries } from '../../../workers/authenticate/inquiries.js';
import { KeySources } from '../../../workers/authenticate/keys.js';
import type { Principal } from '../../../workers/authenticate/principal.js';
import { Revoked } from '../../../workers/authenticate/revoked.js';
import type { VerifierContext } from '../../../workers/authenticate/verifier.js';
import { authOf, type ProviderLike } from '../../support/auth.js';

export type JwtAuth = JwtProvider;

export const ISSUER = 'https://issuer.example';
export const AUDIENCE = 'https://gateway.example/mcp';
export const SECRET = 'a shared secret of more than thirty-two bytes';

export interface RsaKey {
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly pem: string;
  readonly jwk: Record<string, unknown>;
}

export function rsaKey(kid: string): RsaKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    kid,
    publicKey,
    privateKey,
    pem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' },
  };
}

export function part(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

export function claims(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000);
  return { iss: ISSUER, aud: AUDIENCE, sub: 'alice', scope: 'read write', iat: now, exp: now + 300, ...changes };
}

export function rs256(key: RsaKey, payload: unknown = claims(), header: Record<string, unknown> = {}): string {
  const signed = `${part({ alg: 'RS256', typ: 'JWT', kid: key.kid, ...header })}.${part(payload)}`;
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(key.privateKey).toString('base64url')}`;
}

export function hs256(secret: string, payload: unknown = claims(), header: Record<string, unknown> = {}): string {
  const signed = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part(payload)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

export function jwtAuth(changes: Partial<JwtAuth> = {}): JwtAuth {
  return {
    type: 'jwt',
    scheme: Scheme.bearer,
    waitsFor: changes.jwksUrl == null ? null : 'the keys of auth.jwksUrl',
    algorithms: ['RS256'],
    secret: null,
    publicKey: null,
    jwksUrl: null,
    jwksCooldownMs: 30_000,
    jwksMaxAgeMs: 600_000,
    issuer: ISSUER,
    audience: [AUDIENCE],
    clockToleranceSeconds: 5,
    subjectClaim: 'sub',
    scopeClaims: ['scope', 'scp'],
    permissionClaims: ['permissions'],
    verifyExpiry: true,
    ...changes,
  };
}

/** The code of an error's number. */
function codeOf(error: number): string {
  return ERROR_CODES[error] ?? '';
}

/** The outcome of a token: the principal, or the code of the error. */
export async function judge(
  authenticator: Authenticator,
  token: string | null,
  scheme: number = Scheme.bearer,
): Promise<Principal | string> {
  // As in the worker, the token lies in shared memory among other bytes.
  const memory = new SharedArrayBuffer((token?.length ?? 0) + 16 - ((token?.length ?? 0) % 4));
  const shared = Buffer.from(memory);
  shared.fill(0x7e);
  shared.write(token ?? '', 8, 'latin1');
  const end = 8 + (token?.length ?? 0);
  const outcome = authenticator.check(
    scheme,
    shared,
    8,
    end,
    token !== null,
    Date.now() / 1000,
    new Int32Array(memory),
  );
  if (outcome === Outcome.known) return authenticator.principal;
  if (outcome === Outcome.refused) return codeOf(authenticator.error);
  const verified = await authenticator.verify(scheme, token!);
  return 'error' in verified ? codeOf(verified.error) : verified;
}

/** The outcome of {@link Authenticator.check} at a given time. */
export function checkAt(authenticator: Authenticator, token: string, seconds: number): number {
  const memory = new ArrayBuffer((token.length + 7) & ~3);
  const bytes = Buffer.from(memory);
  bytes.write(token, 'latin1');
  return authenticator.check(Scheme.bearer, bytes, 0, token.length, true, seconds, new Int32Array(memory));
}

/** What the verifiers of a worker use, with inquiries that `front` answers. */
export function verifierContext(
  counters: Counters,
  front: CredentialChecks,
  keys = new KeySources({ requestKeys() {} }, []),
  revoked = new Revoked([]),
  reasons: string[] = [],
): VerifierContext {
  const inquiries: Inquiries = new Inquiries({
    inquire: (id, inquiry) => void front.answer(inquiry).then((answer) => inquiries.receive(id, answer)),
  });
  const refusals = { tokenRefused: (why: string) => void reasons.push(why) };
  return { counters, keys, inquiries, revoked, refusals };
}

/**
 * @param reasons filled with the reasons why tokens with a good signature are refused
 * @param checks answers the inquiries; default: this process
 */
export function authenticatorFor(
  auth: ProviderLike | readonly ProviderLike[],
  keys?: KeySources,
  revoked?: Revoked,
  reasons: string[] = [],
  checks: CredentialChecks | null = null,
): Authenticator {
  const snapshot = authOf(...(Array.isArray(auth) ? (auth as readonly ProviderLike[]) : [auth as ProviderLike]));
  const counters = new Counters(counterMemory(1, 1), 0);
  const front =
    checks ??
    new CredentialChecks({ checkPassword: async (check) => checkPassword(check) }, counters, {
      warn: (sentence) => reasons.push(sentence),
    });
  front.configure([snapshot]);
  return new Authenticator(snapshot, verifierContext(counters, front, keys, revoked, reasons));
}

/** An HTTP server on loopback that counts its requests. */
export class LoopbackServer {
  readonly requests: string[] = [];
  connections = 0;
  readonly #server: Server;

  private constructor(answer: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#server = createServer((request, response) => {
      this.requests.push(request.url ?? '');
      answer(request, response);
    });
    this.#server.on('connection', () => {
      this.connections += 1;
    });
  }

  static async start(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<LoopbackServer> {
    const server = new LoopbackServer(answer);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  url(path = '/jwks'): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
