/** One login of a user at an upstream: OAuth 2.1 authorization code with PKCE, through the client authentication of the SDK. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { OAuthClientProvider, OAuthDiscoveryState } from '@modelcontextprotocol/sdk/client/auth.js';
import type {
  OAuthClientInformationMixed,
  OAuthClientMetadata,
  OAuthTokens,
} from '@modelcontextprotocol/sdk/shared/auth.js';
import type { OAuthSnapshot } from '../../config/snapshot/user-logins.js';
import { excerpt } from '../core/reasons.js';
import { boundedFetch } from './bounded-fetch.js';
import type { Login } from './login-store.js';

export type { OAuthSnapshot };

/** A login failed. `message` is a sentence for the user, without secrets. */
export class LoginError extends Error {}

/** See the file comment. Started for a user, finished by the redirect to the callback. */
export class LoginFlow {
  readonly #auth: OAuthSnapshot;
  readonly #provider: FlowProvider;
  readonly #fetch: ReturnType<typeof boundedFetch>;

  /**
   * @param redirectUrl where the browser comes back to
   * @param before the login before, whose registration is used again where it fits
   * @param scope asked for; '' = what the configuration or the upstream says
   */
  constructor(auth: OAuthSnapshot, redirectUrl: string, before: Login | null, scope: string) {
    this.#auth = auth;
    this.#fetch = boundedFetch(auth.serverUrl);
    const client = before !== null && before.redirectUrl === redirectUrl ? before.client : undefined;
    this.#provider = new FlowProvider(auth, redirectUrl, client, scope);
  }

  /** Unguessable; comes back with the redirect. */
  get state(): string {
    return this.#provider.state();
  }

  /**
   * Discovers the authorization server (RFC 9728, RFC 8414), and registers the gateway there if necessary.
   *
   * @returns where the user is to be sent
   * @throws LoginError
   */
  async start(): Promise<URL> {
    const { auth, extractWWWAuthenticateParams } = await import('@modelcontextprotocol/sdk/client/auth.js');
    try {
      // The challenge names the metadata and the scopes of the upstream.
      const challenge = extractWWWAuthenticateParams(await this.#probe());
      const scope = this.#provider.scope || challenge.scope;
      await auth(this.#provider, {
        serverUrl: this.#auth.serverUrl,
        fetchFn: this.#fetch,
        ...(scope === undefined ? {} : { scope }),
        ...(challenge.resourceMetadataUrl === undefined ? {} : { resourceMetadataUrl: challenge.resourceMetadataUrl }),
      });
    } catch (error) {
      throw loginError(error);
    }
    const { discovery, url } = this.#provider;
    if (url === null) throw new LoginError('The authorization server was not found.');
    const metadata = discovery?.authorizationServerMetadata;
    if (metadata === undefined) throw new LoginError('The authorization server has no metadata (RFC 8414).');
    if (!sameIssuer(metadata.issuer, String(discovery?.authorizationServerUrl))) {
      throw new LoginError('The metadata of the authorization server names another issuer (RFC 8414 section 3.3).');
    }
    if (metadata.code_challenge_methods_supported?.includes('S256') !== true) {
      throw new LoginError('The authorization server does not say that it supports PKCE with S256.');
    }
    return url;
  }

  /**
   * Exchanges the code of the redirect for tokens.
   *
   * @param query of the redirect
   * @throws LoginError
   */
  async finish(query: URLSearchParams): Promise<Login> {
    const { discovery } = this.#provider;
    if (!sameText(query.get('state') ?? '', this.state)) throw new LoginError('The login was not started here.');
    const metadata = discovery?.authorizationServerMetadata;
    const issuer = query.get('iss');
    const needsIssuer = (metadata as Readonly<Record<string, unknown>> | undefined)?.[
      'authorization_response_iss_parameter_supported'
    ];
    // RFC 9207 section 2.4: checked before anything else of the answer is used.
    if (issuer === null ? needsIssuer === true : issuer !== metadata?.issuer) {
      throw new LoginError(
        'The answer comes from another authorization server than the one that was asked (RFC 9207).',
      );
    }
    const error = query.get('error');
    if (error !== null) throw new LoginError(`The authorization server refused the login (${plain(error)}).`);
    const authorizationCode = query.get('code') ?? '';
    if (authorizationCode === '') throw new LoginError('The answer of the authorization server has no code.');
    const { auth } = await import('@modelcontextprotocol/sdk/client/auth.js');
    try {
      await auth(this.#provider, { serverUrl: this.#auth.serverUrl, authorizationCode, fetchFn: this.#fetch });
    } catch (failure) {
      throw loginError(failure);
    }
    const login = this.#provider.login();
    if (login === null) throw new LoginError('The authorization server issued no token.');
    return login;
  }

  async #probe(): Promise<Response> {
    return await this.#fetch(this.#auth.serverUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    });
  }
}

/**
 * Renews the tokens of a login.
 *
 * @throws what the SDK throws: InvalidGrantError where the user has to log in again, others where the login stays as it is
 */
export async function refreshed(login: Login): Promise<Login> {
  const { refreshAuthorization } = await import('@modelcontextprotocol/sdk/client/auth.js');
  const tokens = await refreshAuthorization(login.issuer, {
    ...(login.metadata === null ? {} : { metadata: login.metadata as never }),
    clientInformation: login.client,
    refreshToken: login.refreshToken,
    ...(login.resource === '' ? {} : { resource: login.resource }),
    fetchFn: boundedFetch(login.serverUrl),
  });
  return withTokens(login, tokens);
}

/** @param tokens as issued now */
function withTokens(login: Login, tokens: OAuthTokens): Login {
  const { access_token: accessToken, refresh_token: refreshToken = '', expires_in: seconds = 0, scope } = tokens;
  // Anything else could not be sent in a header (RFC 6750 2.1).
  if (!/^[\x21-\x7e]+$/.test(accessToken)) throw new LoginError('The authorization server issued no token.');
  const endsAt = seconds > 0 ? Date.now() + Math.min(seconds, MAX_LIFETIME) * 1_000 : 0;
  return { ...login, accessToken, refreshToken, endsAt, scope: scope ?? login.scope };
}

/** A year in seconds. */
const MAX_LIFETIME = 31_536_000;

/** What the SDK asks for and hands over during one login. */
class FlowProvider implements OAuthClientProvider {
  readonly redirectUrl: string;
  readonly scope: string;
  clientMetadataUrl?: string;
  discovery: OAuthDiscoveryState | undefined;
  url: URL | null = null;
  /** Decides which resource the tokens are for; undefined = the metadata of the upstream does. */
  validateResourceURL?: () => Promise<URL | undefined>;
  readonly #auth: OAuthSnapshot;
  readonly #state = randomBytes(24).toString('base64url');
  #client: OAuthClientInformationMixed | undefined;
  #verifier = '';
  #tokens: OAuthTokens | null = null;

  constructor(
    auth: OAuthSnapshot,
    redirectUrl: string,
    client: OAuthClientInformationMixed | undefined,
    scope: string,
  ) {
    this.#auth = auth;
    this.redirectUrl = redirectUrl;
    this.scope = scope || auth.scope;
    if (auth.clientMetadataUrl !== '') this.clientMetadataUrl = auth.clientMetadataUrl;
    const secret = auth.clientSecret === '' ? {} : { client_secret: auth.clientSecret };
    this.#client = auth.clientId === '' ? client : { client_id: auth.clientId, ...secret };
  }

  get clientMetadata(): OAuthClientMetadata {
    return {
      client_name: 'Switchyard',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      ...(this.scope === '' ? {} : { scope: this.scope }),
    };
  }

  state(): string {
    return this.#state;
  }

  clientInformation(): OAuthClientInformationMixed | undefined {
    return this.#client;
  }

  saveClientInformation(client: OAuthClientInformationMixed): void {
    this.#client = client;
  }

  /** None: the user is asked for consent. */
  tokens(): undefined {}

  saveTokens(tokens: OAuthTokens): void {
    this.#tokens = tokens;
  }

  redirectToAuthorization(url: URL): void {
    this.url = url;
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }

  /** The registration is refused: where the gateway registers itself it does so again. */
  invalidateCredentials(scope: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'): void {
    if (this.#auth.clientId === '' && (scope === 'all' || scope === 'client')) this.#client = undefined;
  }

  /** MCP 2025-11-25 (authorization, resource parameter) wants the parameter also of upstreams without RFC 9728. */
  saveDiscoveryState(state: OAuthDiscoveryState): void {
    this.discovery = state;
    if (state.resourceMetadata !== undefined) return;
    // The SDK sends a text as it is; a URL would get a slash behind a bare host.
    this.validateResourceURL = () => Promise.resolve(canonicalUri(this.#auth.serverUrl) as never);
  }

  discoveryState(): OAuthDiscoveryState | undefined {
    return this.discovery;
  }

  /** Null while there are no tokens. */
  login(): Login | null {
    if (this.#tokens === null || this.#client === undefined || this.discovery === undefined) return null;
    const { authorizationServerMetadata, authorizationServerUrl } = this.discovery;
    const asked = this.url?.searchParams;
    const login: Login = {
      serverUrl: this.#auth.serverUrl,
      issuer: String(authorizationServerUrl),
      metadata: authorizationServerMetadata ?? null,
      resource: asked?.get('resource') ?? '',
      client: this.#client,
      redirectUrl: this.redirectUrl,
      accessToken: '',
      refreshToken: '',
      endsAt: 0,
      scope: asked?.get('scope') ?? '',
    };
    return withTokens(login, this.#tokens);
  }
}

/** The canonical URI of an MCP server (MCP 2025-11-25, authorization): no user, query and fragment, no slash behind a bare host. */
export function canonicalUri(serverUrl: string): string {
  const { origin, pathname } = new URL(serverUrl);
  return pathname === '/' ? origin : `${origin}${pathname}`;
}

function sameText(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function sameIssuer(a: string, b: string): boolean {
  return a.replace(/\/$/, '') === b.replace(/\/$/, '');
}

/** An error code of an authorization server, without anything else. */
function plain(code: string): string {
  return code.replace(/[^\w.:/-]/g, '').slice(0, 64);
}

function loginError(error: unknown): LoginError {
  if (error instanceof LoginError) return error;
  const code = (error as { errorCode?: unknown }).errorCode;
  if (typeof code === 'string') return new LoginError(`The authorization server refused the request (${plain(code)}).`);
  return new LoginError(`The login failed: ${excerpt(error instanceof Error ? error.message : String(error))}.`);
}
