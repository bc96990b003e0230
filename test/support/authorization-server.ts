/**
 * An OAuth 2.1 authorization server on loopback for tests: metadata (RFC 8414), keys that rotate (RFC 7517), tokens by client
 * credentials, refresh token, authorization code with PKCE and token exchange (RFC 6749, 7636, 8693), introspection (RFC 7662),
 * dynamic registration (RFC 7591). It can be slow, down or wrong, and keeps a journal of what it was asked.
 */
import { createHash, type KeyObject, randomBytes, type webcrypto } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { TestScope } from './process.js';

/** A request to the token, introspection or registration endpoint. */
export interface TokenRequest {
  readonly path: string;
  readonly authorization: string;
  /** The form, or the members of a JSON body that are strings. */
  readonly form: Readonly<Record<string, string>>;
}

/** A client that may ask for tokens. A public one has no secret. */
export interface RegisteredClient {
  readonly secret: string | null;
  readonly redirectUris: readonly string[];
}

/** What a token stands for. */
export interface IssuedToken {
  readonly subject: string;
  readonly scope: string;
  readonly audience: string;
  readonly clientId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  active: boolean;
}

interface Grant extends Pick<IssuedToken, 'subject' | 'scope' | 'audience' | 'clientId'> {
  readonly challenge: string;
  readonly redirectUri: string;
}

/** What the endpoints do instead of answering as they should. */
export type Fault =
  | 'none'
  | 'down'
  | 'reset'
  | 'silent'
  | 'garbage'
  | 'huge'
  | 'redirect'
  | 'invalid_grant'
  | 'invalid_client';

/** See the file comment. */
export class AuthorizationServer {
  /** Without a slash at the end. */
  issuer = '';
  /** By client id. */
  readonly clients = new Map<string, RegisteredClient>([['gateway', { secret: 'gateway-secret', redirectUris: [] }]]);
  /** By the text of the access token. */
  readonly tokens = new Map<string, IssuedToken>();
  /** Tokens of other issuers that can be exchanged or introspected, by their text: their subject. */
  readonly subjects = new Map<string, string>();
  readonly requests: TokenRequest[] = [];
  /** Of the token, introspection and registration endpoints. */
  fault: Fault = 'none';
  /** Answers of those endpoints wait for this. */
  gate: Promise<void> = Promise.resolve();
  /** Lifetime of access tokens, s; 0 = the response has no `expires_in`. */
  expiresIn = 3_600;
  /** Whether a refresh token is good for one use only, as OAuth 2.1 demands of public clients. */
  rotatesRefreshTokens = true;
  /** Who signs in at the authorization endpoint. */
  user = 'ann';
  /** Whether authorization responses have `iss` (RFC 9207). */
  sendsIssuer = true;
  readonly #codes = new Map<string, Grant>();
  readonly #refreshTokens = new Map<string, Omit<Grant, 'challenge' | 'redirectUri'>>();
  /** How often the key set was read. */
  keyRequests = 0;
  #keys: { kid: string; privateKey: webcrypto.CryptoKey | KeyObject; jwk: JWK }[] = [];
  #issued = 0;

  /** The URL of one of the endpoints: `token`, `introspect`, `register`, `authorize`, `jwks`. */
  url(endpoint: string): string {
    return `${this.issuer}/${endpoint}`;
  }

  /** Requests to the token endpoint with that `grant_type`; default: all. */
  tokenRequests(grantType?: string): TokenRequest[] {
    return this.requests.filter(
      ({ path, form }) => path === '/token' && (grantType === undefined || form['grant_type'] === grantType),
    );
  }

  /** Issues an access token (a JWT of this issuer, RFC 9068). */
  async issue(claims: { subject: string; scope?: string; audience?: string; clientId?: string; expiresIn?: number }) {
    const { subject, scope = '', audience = '', clientId = '' } = claims;
    const seconds = claims.expiresIn ?? (this.expiresIn || 3_600);
    const [key] = this.#keys;
    if (key === undefined) throw new Error('the server was not started');
    this.#issued += 1;
    const now = Math.floor(Date.now() / 1_000);
    const jwt = new SignJWT({ scope, client_id: clientId, jti: String(this.#issued) })
      .setProtectedHeader({ alg: 'ES256', kid: key.kid })
      .setIssuer(this.issuer)
      .setSubject(subject)
      .setIssuedAt(now)
      .setExpirationTime(now + seconds);
    if (audience !== '') jwt.setAudience(audience);
    const token = await jwt.sign(key.privateKey);
    const expiresAt = Date.now() + seconds * 1_000;
    this.tokens.set(token, { subject, scope, audience, clientId, expiresAt, active: true });
    return token;
  }

  /** What a request with this `Authorization` header is authorized as; null = it is not. */
  check(authorization: string | undefined): IssuedToken | null {
    const found = this.tokens.get(/^Bearer (\S+)$/.exec(authorization ?? '')?.[1] ?? '');
    return found?.active === true && found.expiresAt > Date.now() ? found : null;
  }

  /** Tokens issued so far are not accepted any more. */
  revokeAll(): void {
    for (const token of this.tokens.values()) token.active = false;
  }

  /** Signs with another key from now on. @param keep whether the one before stays in the key set */
  async rotateKeys(keep = true): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const kid = randomBytes(6).toString('hex');
    const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' };
    this.#keys = [{ kid, privateKey, jwk }, ...(keep ? this.#keys : [])];
  }

  /** Called for each request; never fails. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.issuer);
    const isJudged = ['/token', '/introspect', '/register'].includes(url.pathname);
    const form = await readForm(request);
    if (isJudged) {
      this.requests.push({ path: url.pathname, authorization: request.headers.authorization ?? '', form });
      await this.gate;
      if (this.#fails(response)) return;
    }
    const [status, body] = await this.#answer(url, request, form);
    if (status === 302) response.writeHead(302, { location: String(body) }).end();
    else response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  async #answer(
    url: URL,
    request: IncomingMessage,
    form: Readonly<Record<string, string>>,
  ): Promise<[number, object | string]> {
    switch (url.pathname) {
      case '/.well-known/oauth-authorization-server':
      case '/.well-known/openid-configuration':
        return [200, this.#metadata()];
      case '/jwks':
        this.keyRequests += 1;
        return [200, { keys: this.#keys.map(({ jwk }) => jwk) }];
      case '/authorize':
        return this.#authorize(url.searchParams);
      case '/register':
        return this.#register(form);
      case '/token':
        return await this.#token(request, form);
      case '/introspect':
        return this.#introspect(request, form);
      default:
        return [404, {}];
    }
  }

  #metadata(): object {
    return {
      issuer: this.issuer,
      authorization_endpoint: this.url('authorize'),
      token_endpoint: this.url('token'),
      introspection_endpoint: this.url('introspect'),
      registration_endpoint: this.url('register'),
      jwks_uri: this.url('jwks'),
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials', EXCHANGE],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
      authorization_response_iss_parameter_supported: this.sendsIssuer,
    };
  }

  /** @returns whether a fault was the answer */
  #fails(response: ServerResponse): boolean {
    switch (this.fault) {
      case 'none':
        return false;
      case 'down':
        response.writeHead(503).end('down');
        return true;
      case 'reset':
        response.destroy();
        return true;
      case 'silent':
        return true;
      case 'garbage':
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
        return true;
      case 'huge':
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"access_token":"${'a'.repeat(4_000_000)}"}`);
        return true;
      case 'redirect':
        response.writeHead(307, { location: this.url('jwks') }).end();
        return true;
      default:
        response.writeHead(this.fault === 'invalid_client' ? 401 : 400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ error: this.fault, error_description: `it is ${this.fault}` }));
        return true;
    }
  }

  /** The user agrees at once. */
  #authorize(query: URLSearchParams): [number, object | string] {
    const clientId = query.get('client_id') ?? '';
    const redirectUri = query.get('redirect_uri') ?? '';
    const challenge = query.get('code_challenge') ?? '';
    const client = this.clients.get(clientId);
    if (client === undefined || !client.redirectUris.some((uri) => matches(uri, redirectUri))) {
      return [400, { error: 'invalid_request' }];
    }
    if (query.get('response_type') !== 'code' || query.get('code_challenge_method') !== 'S256' || challenge === '') {
      return [400, { error: 'invalid_request' }];
    }
    const code = randomBytes(16).toString('hex');
    const scope = query.get('scope') ?? '';
    const audience = query.get('resource') ?? '';
    this.#codes.set(code, { subject: this.user, scope, audience, clientId, challenge, redirectUri });
    const target = new URL(redirectUri);
    target.searchParams.set('code', code);
    const state = query.get('state');
    if (state !== null) target.searchParams.set('state', state);
    if (this.sendsIssuer) target.searchParams.set('iss', this.issuer);
    return [302, target.href];
  }

  #register(form: Readonly<Record<string, string>>): [number, object] {
    const uris = JSON.parse(form['redirect_uris'] ?? '[]') as string[];
    const isPublic = form['token_endpoint_auth_method'] === 'none';
    const clientId = `client-${this.clients.size}`;
    const secret = isPublic ? null : randomBytes(12).toString('hex');
    this.clients.set(clientId, { secret, redirectUris: uris });
    const registered = {
      client_id: clientId,
      redirect_uris: uris,
      token_endpoint_auth_method: isPublic ? 'none' : 'client_secret_post',
    };
    return [201, secret === null ? registered : { ...registered, client_secret: secret }];
  }

  async #token(request: IncomingMessage, form: Readonly<Record<string, string>>): Promise<[number, object]> {
    const clientId = this.#clientOf(request, form);
    if (clientId === null) return [401, { error: 'invalid_client' }];
    const audience = form['resource'] ?? form['audience'] ?? '';
    switch (form['grant_type']) {
      case 'client_credentials':
        return await this.#grant({ subject: clientId, scope: form['scope'] ?? '', audience, clientId }, false);
      case 'authorization_code': {
        const grant = this.#codes.get(form['code'] ?? '');
        this.#codes.delete(form['code'] ?? '');
        const challenge = createHash('sha256')
          .update(form['code_verifier'] ?? '')
          .digest('base64url');
        if (grant === undefined || grant.clientId !== clientId || grant.challenge !== challenge) return INVALID_GRANT;
        if (grant.redirectUri !== form['redirect_uri']) return INVALID_GRANT;
        return await this.#grant(grant, true);
      }
      case 'refresh_token': {
        const text = form['refresh_token'] ?? '';
        const grant = this.#refreshTokens.get(text);
        if (grant === undefined || grant.clientId !== clientId) return INVALID_GRANT;
        if (this.rotatesRefreshTokens) this.#refreshTokens.delete(text);
        return await this.#grant(grant, this.rotatesRefreshTokens);
      }
      case EXCHANGE: {
        const subject = this.#subjectOf(form['subject_token'] ?? '');
        if (subject === null || form['subject_token_type'] === undefined) return INVALID_GRANT;
        const [status, body] = await this.#grant({ subject, scope: form['scope'] ?? '', audience, clientId }, false);
        return [status, { ...body, issued_token_type: ACCESS_TOKEN }];
      }
      default:
        return [400, { error: 'unsupported_grant_type' }];
    }
  }

  async #grant(grant: Pick<Grant, 'subject' | 'scope' | 'audience' | 'clientId'>, isRefreshable: boolean) {
    const token = await this.issue(grant);
    const body: Record<string, string | number> = { access_token: token, token_type: 'Bearer' };
    if (this.expiresIn > 0) body['expires_in'] = this.expiresIn;
    if (grant.scope !== '') body['scope'] = grant.scope;
    if (isRefreshable) {
      const refreshToken = randomBytes(16).toString('hex');
      const { subject, scope, audience, clientId } = grant;
      this.#refreshTokens.set(refreshToken, { subject, scope, audience, clientId });
      body['refresh_token'] = refreshToken;
    }
    return [200, body] satisfies [number, object];
  }

  #introspect(request: IncomingMessage, form: Readonly<Record<string, string>>): [number, object] {
    if (this.#clientOf(request, form) === null) return [401, { error: 'invalid_client' }];
    const found = this.check(`Bearer ${form['token'] ?? ''}`);
    if (found === null) return [200, { active: false }];
    const { subject, scope, audience, clientId, expiresAt } = found;
    const exp = Math.floor(expiresAt / 1_000);
    return [200, { active: true, sub: subject, scope, aud: audience, client_id: clientId, iss: this.issuer, exp }];
  }

  #subjectOf(token: string): string | null {
    return this.subjects.get(token) ?? this.check(`Bearer ${token}`)?.subject ?? null;
  }

  /** The client that a request is authenticated as (RFC 6749 2.3.1), null = none. */
  #clientOf(request: IncomingMessage, form: Readonly<Record<string, string>>): string | null {
    const basic = /^Basic (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    const [name, password] =
      basic === undefined
        ? [form['client_id'] ?? '', form['client_secret'] ?? null]
        : Buffer.from(basic, 'base64').toString('utf8').split(':').map(formDecoded);
    const client = this.clients.get(name ?? '');
    return client !== undefined && client.secret === (password ?? null) ? (name ?? null) : null;
  }
}

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const INVALID_GRANT: [number, object] = [400, { error: 'invalid_grant' }];

function formDecoded(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

/** Loopback redirects may have any port (RFC 8252 7.3). */
function matches(registered: string, asked: string): boolean {
  if (registered === asked) return true;
  if (!URL.canParse(registered) || !URL.canParse(asked)) return false;
  const [a, b] = [new URL(registered), new URL(asked)];
  const isLoopback = ['127.0.0.1', '[::1]', 'localhost'].includes(a.hostname);
  return isLoopback && a.hostname === b.hostname && a.pathname === b.pathname && a.protocol === b.protocol;
}

async function readForm(request: IncomingMessage): Promise<Record<string, string>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  if (!(request.headers['content-type'] ?? '').includes('json')) return Object.fromEntries(new URLSearchParams(text));
  const members = Object.entries(JSON.parse(text) as Record<string, unknown>);
  return Object.fromEntries(
    members.map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

/** Starts a server that ends with the test. It knows the client `gateway` with the secret `gateway-secret`. */
export async function startAuthorizationServer(t: TestScope): Promise<AuthorizationServer> {
  const authority = new AuthorizationServer();
  await authority.rotateKeys();
  const server = createServer((request, response) => void authority.serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  authority.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return authority;
}
