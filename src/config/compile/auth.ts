import { BlockList } from 'node:net';
import { addNetwork } from '../../shared/networks.js';
import { Scheme } from '../../shared/scheme.js';
import { type ConfigPath, showPath } from '../problems.js';
import { list } from '../schema/fields.js';
import type { ResolvedConfig } from '../schema/index.js';
import type {
  ApiKeyProvider,
  AuthProvider,
  AuthSnapshot,
  BasicProvider,
  BearerProvider,
  Grant,
  IntrospectionProvider,
  ProxyHeaderProvider,
} from '../snapshot/auth.js';
import type { Compilation } from './compilation.js';
import { checkServerUrl, compileJwt } from './jwt.js';
import { isLoopbackHost } from './loopback.js';
import { passwordProblem } from './password.js';

type Written = Extract<ResolvedConfig['auth'], readonly unknown[]>[number];
type Config<Type extends Written['type']> = Extract<Written, { type: Type }>;

/** Headers that mean something else, or that a client cannot choose (RFC 9110, Fetch standard). */
const TAKEN =
  /^(authorization|proxy-authorization|cookie|host|connection|keep-alive|te|trailer|upgrade|expect|origin|accept|if-none-match|last-event-id|transfer-encoding|content-.*|mcp-.*|sec-.*|access-control-.*)$/;

/**
 * One `auth` of a snapshot: tokens and keys read and checked as far as is possible without a request.
 *
 * @param path of the key in the configuration
 * @param realm see `AuthSnapshot.realm`
 */
export function compileAuth(
  compilation: Compilation,
  auth: ResolvedConfig['auth'],
  path: ConfigPath,
  realm: string,
): AuthSnapshot {
  const written = Array.isArray(auth) ? auth : [auth];
  const isList = Array.isArray(auth);
  if (isList && auth.length === 0) {
    compilation.problem(path, 'must name at least one provider; { type: none } permits everybody');
  }
  const headers = new CredentialHeaders(compilation);
  const providers: AuthProvider[] = [];
  let resourceMetadata: string | null = null;
  written.forEach((one, i) => {
    const at = isList ? [...path, i] : path;
    if (one.type === 'none') {
      // Beside others it would have to mean that a request without a credential is served.
      if (isList) compilation.problem([...at, 'type'], 'none cannot stand in a list: it permits everybody');
      return;
    }
    providers.push(compileProvider(compilation, one, at, headers));
    resourceMetadata ??= metadataUrl(compilation, one.resourceMetadata, [...at, 'resourceMetadata']);
  });
  checkTogether(compilation, providers, (i) => (isList ? [...path, i] : path));
  return { realm, providers, resourceMetadata, authorizationServers: authorizationServers(providers) };
}

/** Scopes as a list; OAuth writes them as one string with spaces (RFC 6749 3.3). */
export function scopeList(value: string | readonly string[] | undefined): string[] {
  return list(value).flatMap((scope) => scope.split(' ').filter((part) => part !== ''));
}

function compileProvider(
  compilation: Compilation,
  one: Exclude<Written, { type: 'none' }>,
  at: ConfigPath,
  headers: CredentialHeaders,
): AuthProvider {
  switch (one.type) {
    case 'bearer':
      return bearer(compilation, one, at);
    case 'apiKey':
      return apiKey(compilation, one, at, headers);
    case 'basic':
      return basic(compilation, one, at);
    case 'jwt':
      return compileJwt(compilation, one, at);
    case 'oauth2':
      return oauth2(compilation, one, at);
    case 'proxyHeader':
      return proxyHeader(compilation, one, at, headers);
  }
}

/** Numbers the headers that carry credentials: each belongs to one provider. */
class CredentialHeaders {
  readonly #compilation: Compilation;
  readonly #taken = new Set<string>();
  #schemes = 0;

  constructor(compilation: Compilation) {
    this.#compilation = compilation;
  }

  /** The scheme of the next provider with a header of its own. */
  scheme(): number {
    this.#schemes += 1;
    return Scheme.header + this.#schemes - 1;
  }

  /** A header's lower-case name. */
  name(written: string, path: ConfigPath): string {
    const name = written.toLowerCase();
    if (!/^[!#$%&'*+.^`|~0-9a-z-]+$/.test(name)) {
      this.#compilation.problem(path, 'must be the name of an HTTP header; names with "_" are dropped by the gateway');
    } else if (TAKEN.test(name)) {
      this.#compilation.problem(path, 'is a header with another meaning; choose one of its own');
    } else if (this.#taken.has(name)) {
      this.#compilation.problem(path, 'is the header of another provider');
    }
    this.#taken.add(name);
    return name;
  }
}

type WrittenGrant = Pick<Config<'basic'>, never> & {
  readonly scopes?: string | readonly string[] | undefined;
  readonly permissions?: string | readonly string[] | undefined;
  readonly metadata?: Readonly<Record<string, string | number | boolean>> | undefined;
};

function grantOf(subject: string, { scopes, permissions, metadata }: WrittenGrant): Grant {
  return {
    subject,
    scopes: scopeList(scopes),
    permissions: scopeList(permissions),
    metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, String(value)])),
  };
}

function bearer(compilation: Compilation, auth: Config<'bearer'>, at: ConfigPath): BearerProvider {
  const base = [...at, 'tokens'];
  const entries = Array.isArray(auth.tokens)
    ? auth.tokens.map((entry, i) => ({
        ...grantOf(entry.subject, entry),
        token: entry.token,
        path: [...base, i, 'token'],
      }))
    : Object.entries(auth.tokens).map(([subject, entry]) =>
        typeof entry === 'string'
          ? { ...grantOf(subject, {}), token: entry, path: [...base, subject] }
          : { ...grantOf(subject, entry), token: entry.token, path: [...base, subject, 'token'] },
      );
  if (entries.length === 0) compilation.problem(base, 'must name at least one token');
  checkTable(compilation, entries, 'token');
  for (const { token, path } of entries) {
    // Only a token of this alphabet can be sent in an Authorization header (RFC 6750 2.1).
    if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token)) {
      compilation.problem(path, 'may hold only letters, digits, "-._~+/" and "=" at its end (RFC 6750 2.1)');
    }
  }
  return {
    type: 'bearer',
    scheme: Scheme.bearer,
    waitsFor: null,
    tokens: entries.map(({ path: _, ...entry }) => entry),
  };
}

function apiKey(
  compilation: Compilation,
  auth: Config<'apiKey'>,
  at: ConfigPath,
  headers: CredentialHeaders,
): ApiKeyProvider {
  const base = [...at, 'keys'];
  const entries = Array.isArray(auth.keys)
    ? auth.keys.map((entry, i) => ({ ...grantOf(entry.subject, entry), token: entry.key, path: [...base, i, 'key'] }))
    : Object.entries(auth.keys).map(([subject, entry]) =>
        typeof entry === 'string'
          ? { ...grantOf(subject, {}), token: entry, path: [...base, subject] }
          : { ...grantOf(subject, entry), token: entry.key, path: [...base, subject, 'key'] },
      );
  if (entries.length === 0) compilation.problem(base, 'must name at least one key');
  checkTable(compilation, entries, 'key');
  for (const { token, path } of entries) {
    // White space around a value is no part of it (RFC 9110 section 5.5).
    if (!/^[\x21-\x7e]+$/.test(token))
      compilation.problem(path, 'may hold only visible ASCII characters, and no space');
  }
  return {
    type: 'apiKey',
    scheme: headers.scheme(),
    waitsFor: null,
    header: headers.name(auth.header, [...at, 'header']),
    tokens: entries.map(({ path: _, ...entry }) => entry),
  };
}

function checkTable(
  compilation: Compilation,
  entries: readonly { readonly token: string; readonly path: ConfigPath }[],
  word: string,
): void {
  const seen = new Set<string>();
  for (const { token, path } of entries) {
    if (seen.has(token)) compilation.problem(path, `is the same ${word} as another one`);
    seen.add(token);
  }
}

function basic(compilation: Compilation, auth: Config<'basic'>, at: ConfigPath): BasicProvider {
  const base = [...at, 'users'];
  const users = Object.entries(auth.users).map(([subject, entry]) => {
    const isText = typeof entry === 'string';
    const password = isText ? entry : entry.password;
    // A colon ends the user name (RFC 7617 section 2).
    if (/[:\x00-\x1f\x7f]/.test(subject) || subject === '' || subject.length > 256) {
      compilation.problem([...base, subject], 'a user name has 1 to 256 characters, no colon and no control character');
    }
    const problem = passwordProblem(password);
    if (problem !== null) compilation.problem(isText ? [...base, subject] : [...base, subject, 'password'], problem);
    return { ...grantOf(subject, isText ? {} : entry), password };
  });
  if (users.length === 0) compilation.problem(base, 'must name at least one user');
  const waitsFor = `room among ${showPath([...at, 'maxWaiting'])}`;
  return { type: 'basic', scheme: Scheme.basic, waitsFor, users, maxWaiting: auth.maxWaiting };
}

function oauth2(compilation: Compilation, auth: Config<'oauth2'>, at: ConfigPath): IntrospectionProvider {
  checkServerUrl(compilation, auth.introspectionUrl, [...at, 'introspectionUrl']);
  const { resourceMetadata: _, ...settings } = auth;
  return {
    ...settings,
    scheme: Scheme.bearer,
    waitsFor: `the answer of ${showPath([...at, 'introspectionUrl'])}`,
    introspectionUrl: new URL(auth.introspectionUrl).href,
    issuer: auth.issuer ?? null,
    audience: list(auth.audience),
  };
}

function proxyHeader(
  compilation: Compilation,
  auth: Config<'proxyHeader'>,
  at: ConfigPath,
  headers: CredentialHeaders,
): ProxyHeaderProvider {
  const trustedProxies = list(auth.trustedProxies);
  const path = [...at, 'trustedProxies'];
  if (trustedProxies.length === 0) compilation.problem(path, 'must name at least one address or network');
  for (const network of trustedProxies) {
    if (!addNetwork(new BlockList(), network)) {
      compilation.problem(path, 'must be IP addresses or networks, as 192.0.2.7, 10.0.0.0/8 or fd00::/8');
    }
  }
  const name = (key: 'subjectHeader' | 'scopesHeader' | 'permissionsHeader'): string | null => {
    const written = auth[key];
    return written === undefined ? null : headers.name(written, [...at, key]);
  };
  return {
    type: 'proxyHeader',
    scheme: headers.scheme(),
    waitsFor: null,
    subjectHeader: name('subjectHeader') ?? '',
    scopesHeader: name('scopesHeader'),
    permissionsHeader: name('permissionsHeader'),
    trustedProxies,
  };
}

/** What providers of one scheme must not have in common, so that one of them decides about a credential. */
function checkTogether(
  compilation: Compilation,
  providers: readonly AuthProvider[],
  pathOf: (position: number) => ConfigPath,
): void {
  const issuers = new Set<string>();
  const single = new Set<string>();
  const severalJwt = providers.filter(({ type }) => type === 'jwt').length > 1;
  providers.forEach((provider, i) => {
    const at = pathOf(i);
    if (provider.type === 'jwt') {
      if (provider.issuer === null) {
        if (severalJwt)
          compilation.problem(at, 'needs "issuer": it says which of several jwt providers a token belongs to');
      } else if (issuers.has(provider.issuer)) {
        compilation.problem([...at, 'issuer'], 'is the issuer of another provider');
      } else issuers.add(provider.issuer);
    } else if (provider.type !== 'apiKey' && provider.type !== 'proxyHeader') {
      if (single.has(provider.type)) {
        compilation.problem([...at, 'type'], `stands twice; one provider takes all credentials of ${provider.type}`);
      }
      single.add(provider.type);
    }
  });
}

/** The issuers that are URLs, as the metadata names them (RFC 8414 section 2). */
function authorizationServers(providers: readonly AuthProvider[]): string[] {
  const issuers = providers.flatMap((provider) => {
    if (provider.type !== 'jwt' && provider.type !== 'oauth2') return [];
    const { issuer } = provider;
    if (issuer === null || !URL.canParse(issuer)) return [];
    const { protocol, hostname } = new URL(issuer);
    return protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname)) ? [issuer] : [];
  });
  // One may stand at several providers, for tokens of different forms.
  return [...new Set(issuers)];
}

/** In the form of a header value: other characters are percent-encoded (WHATWG URL). */
function metadataUrl(compilation: Compilation, text: string | undefined, path: ConfigPath): string | null {
  if (text === undefined) return null;
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    compilation.problem(path, 'must start with https:// or http://');
  }
  return url.href;
}

/** `publicUrl` without a slash at its end; `null` = none. */
export function publicOrigin(compilation: Compilation): string | null {
  const { publicUrl } = compilation.loaded.config;
  if (publicUrl === undefined) return null;
  const url = new URL(publicUrl);
  const isOrigin = url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '';
  if ((url.protocol !== 'https:' && url.protocol !== 'http:') || !isOrigin) {
    compilation.problem(['publicUrl'], 'must be scheme, host and port only, as in https://mcp.example.com');
  }
  return url.origin;
}
