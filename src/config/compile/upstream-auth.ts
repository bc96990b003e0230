/** The credentials of one endpoint: fixed ones become headers, the others are described for `src/upstream/credentials`. */
import { MASK } from '../../secrets/show.js';
import type { ConfigPath } from '../problems.js';
import { isReservedHeader } from '../reserved-headers.js';
import { list } from '../schema/fields.js';
import type { UpstreamAuthConfig } from '../schema/upstream-auth.js';
import type { TokenEndpointSnapshot, UpstreamAuthSnapshot } from '../snapshot/index.js';
import type { Compilation } from './compilation.js';
import { isLoopbackHost } from './loopback.js';

type OAuthConfig = Extract<UpstreamAuthConfig, { tokenUrl: string }>;

/** The credentials of an endpoint. */
export interface EndpointCredentials {
  /** Sent with each request. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly auth: UpstreamAuthSnapshot | null;
}

/**
 * Compiles `auth` of an endpoint.
 *
 * @param headers the configured headers, checked, with names in lower case
 * @param path of the endpoint
 * @param url of the endpoint
 * @param isPassedThrough calls carry the token of the client, so `Authorization` is only for requests of the gateway itself
 */
export function compileUpstreamAuth(
  compilation: Compilation,
  auth: UpstreamAuthConfig | undefined,
  headers: Readonly<Record<string, string>>,
  path: ConfigPath,
  isPassedThrough: boolean,
  url: URL,
): EndpointCredentials {
  const at = [...path, 'auth'];
  if (
    auth !== undefined &&
    auth.type !== 'headers' &&
    auth.type !== 'custom' &&
    headers['authorization'] !== undefined
  ) {
    compilation.problem(at, 'cannot stand beside a header "Authorization"; keep one of them');
  }
  const fixed = { ...headers, ...fixedHeaders(compilation, auth, headers, at) };
  addBasicSecrets(compilation, fixed['authorization']);
  if (auth !== undefined && 'tokenUrl' in auth) {
    if (isPassedThrough && isExchange(auth)) {
      compilation.problem(at, 'cannot be a token exchange beside "passthrough"; keep one of them');
    }
    return { headers: fixed, auth: oauth(compilation, auth, at) };
  }
  if (auth?.type === 'oauth' || auth?.type === 'oauth2') {
    if (isPassedThrough) compilation.problem(at, 'cannot be "oauth" beside "passthrough"; keep one of them');
    return { headers: fixed, auth: userLogin(compilation, auth, at, url) };
  }
  const { authorization, ...others } = fixed;
  if (!isPassedThrough || authorization === undefined) return { headers: fixed, auth: null };
  return { headers: others, auth: { type: 'own', authorization } };
}

function fixedHeaders(
  compilation: Compilation,
  auth: UpstreamAuthConfig | undefined,
  headers: Readonly<Record<string, string>>,
  at: ConfigPath,
): Record<string, string> {
  switch (auth?.type) {
    case 'bearer':
      return bearer(compilation, auth, at);
    case 'basic':
      return basic(compilation, auth, at);
    case 'headers':
    case 'custom':
      return checkHeaders(compilation, auth.headers, [...at, 'headers'], headers);
    default:
      return {};
  }
}

type Bearer = Extract<UpstreamAuthConfig, { type: 'bearer' }>;
type Basic = Extract<UpstreamAuthConfig, { type: 'basic' }>;

function bearer(compilation: Compilation, { token, credentials }: Bearer, at: ConfigPath): Record<string, string> {
  const text = one(compilation, at, token, credentials?.token, '"token"');
  if (text === null) return {};
  const where = token === undefined ? [...at, 'credentials', 'token'] : [...at, 'token'];
  if (!/^[\x21-\x7e]+$/.test(text)) compilation.problem(where, 'must be printable ASCII without spaces');
  return { authorization: `Bearer ${text}` };
}

function basic(compilation: Compilation, auth: Basic, at: ConfigPath): Record<string, string> {
  const { username, password, credentials } = auth;
  const own = username === undefined || password === undefined ? undefined : { username, password };
  if (own === undefined && (username !== undefined || password !== undefined)) {
    compilation.problem(at, 'needs both "username" and "password"');
    return {};
  }
  const pair = one(compilation, at, own, credentials, '"username" and "password"');
  if (pair === null) return {};
  const where = own === undefined ? [...at, 'credentials', 'username'] : [...at, 'username'];
  // RFC 7617 2: the first colon ends the user name; characters are sent as UTF-8 (2.1).
  if (/[\p{Cc}:]/u.test(pair.username)) compilation.problem(where, 'must not hold ":"');
  return { authorization: `Basic ${Buffer.from(`${pair.username}:${pair.password}`).toString('base64')}` };
}

/** The one of two spellings that is used. */
function one<T>(compilation: Compilation, at: ConfigPath, own: T | undefined, nested: T | undefined, keys: string) {
  if ((own === undefined) === (nested === undefined)) {
    const sentence = own === undefined ? `needs ${keys}` : `has ${keys} twice, also in "credentials"; keep one of them`;
    compilation.problem(at, sentence);
    return null;
  }
  return own ?? (nested as T);
}

/**
 * Checks headers and their values.
 *
 * @param before headers that must not be given again
 * @returns them with names in lower case
 */
export function checkHeaders(
  compilation: Compilation,
  written: Readonly<Record<string, string | number | boolean>>,
  path: ConfigPath,
  before: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(written)) {
    const at = [...path, name];
    const lower = name.toLowerCase();
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) compilation.problem(at, 'is not a header name (RFC 9110 5.1)');
    else if (isReservedHeader(name)) compilation.problem(at, 'is set by the gateway itself');
    else if (Object.hasOwn(headers, lower) || Object.hasOwn(before, lower)) compilation.problem(at, 'is given twice');
    if (/[^\t\x20-\x7e\x80-\xff]/.test(String(value))) {
      compilation.problem(at, 'the value holds characters that a header cannot carry (RFC 9110 5.5)');
    }
    headers[lower] = String(value);
  }
  return headers;
}

function isExchange(auth: OAuthConfig): auth is Extract<OAuthConfig, { subjectTokenType: string }> {
  return auth.type === 'tokenExchange' || auth.type === 'token_exchange';
}

function oauth(compilation: Compilation, auth: OAuthConfig, at: ConfigPath): UpstreamAuthSnapshot {
  const url = new URL(auth.tokenUrl);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    compilation.problem([...at, 'tokenUrl'], 'must start with https:// (http:// only for a loopback host)');
  }
  if (url.username !== '' || url.password !== '') {
    compilation.problem(
      [...at, 'tokenUrl'],
      'must not hold a user name or password; use "clientId" and "clientSecret"',
    );
  }
  url.hash = '';
  const endpoint: TokenEndpointSnapshot = {
    tokenUrl: url.href,
    clientId: auth.clientId,
    clientSecret: auth.clientSecret,
    clientAuth: auth.clientAuth,
    scope: list(auth.scopes).join(' '),
    audience: auth.audience ?? '',
    resource: auth.resource ?? '',
  };
  if (!isExchange(auth)) return { type: 'clientCredentials', endpoint };
  const { subjectTokenType, requestedTokenType = '', discovery, maxTokens } = auth;
  return { type: 'tokenExchange', endpoint, subjectTokenType, requestedTokenType, discovery, maxTokens };
}

type UserLogin = Extract<UpstreamAuthConfig, { per: string }>;

function userLogin(compilation: Compilation, auth: UserLogin, at: ConfigPath, url: URL): UpstreamAuthSnapshot {
  for (const key of ['redirectUrl', 'clientMetadataUrl'] as const) {
    const text = auth[key];
    if (text === undefined) continue;
    const { protocol, hostname } = new URL(text);
    if (protocol !== 'https:' && !(protocol === 'http:' && key === 'redirectUrl' && isLoopbackHost(hostname))) {
      compilation.problem([...at, key], 'must start with https:// (a redirect to a loopback host may have http://)');
    }
  }
  if (url.protocol !== 'https:' && !isLoopbackHost(url.hostname)) {
    compilation.problem(
      at,
      'needs a url with https:// (or of a loopback host): tokens of a user are not sent in the clear',
    );
  }
  if (auth.clientSecret !== undefined && auth.clientId === undefined) {
    compilation.problem([...at, 'clientSecret'], 'needs a "clientId"');
  }
  return {
    type: 'oauth',
    server: String(at[1]),
    // The schemes of WebSocket have the same host and port.
    serverUrl: url.href.replace(/^ws/, 'http'),
    clientId: auth.clientId ?? '',
    clientSecret: auth.clientSecret ?? '',
    scope: list(auth.scopes).join(' '),
    redirectUrl: auth.redirectUrl ?? '',
    redirectPort: auth.redirectPort ?? 0,
    clientMetadataUrl: auth.clientMetadataUrl ?? '',
    per: auth.per,
  };
}

/** Credentials of RFC 7617 are secret in their encoded and their decoded form. */
function addBasicSecrets(compilation: Compilation, header: string | undefined): void {
  const encoded = /^Basic +(\S+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  for (const value of [encoded, decoded.slice(decoded.indexOf(':') + 1)])
    compilation.secrets.push({ value, shown: MASK });
}
