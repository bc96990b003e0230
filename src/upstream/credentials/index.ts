/** Makes the credentials of endpoints that are not fixed: `auth` and `passthrough` of a server. */

import { canonical } from '../../config/numbering.js';
import { passthroughWarning } from '../../config/passthrough.js';
import type { Current } from '../../config/snapshot/current.js';
import type {
  EndpointSnapshot,
  ServerSnapshot,
  Snapshot,
  TokenEndpointSnapshot,
  UpstreamAuthSnapshot,
  UrlEndpointSnapshot,
} from '../../config/snapshot/index.js';
import type { LoginAnswer } from '../../request/accept/http/handler.js';
import type { Count } from '../../units.js';
import { type CredentialSource, type Credentials, FIXED_CREDENTIALS } from '../core/credentials.js';
import type { UpstreamLog } from '../core/endpoint.js';
import { type ConnectionProfile, SHARED_PROFILE } from '../core/types.js';
import { CallerTokens } from './caller-tokens.js';
import { ExchangedTokens, GatewayToken, OwnHeaders, PassedTokens } from './kinds.js';
import { withoutLink } from './login-credential.js';
import { type LoggedIn, Logins, openLoginStore } from './logins.js';
import { RenewedToken } from './renewed-token.js';
import { requestToken } from './token-endpoint.js';
import { TokenLog } from './token-log.js';

/** Credentials of one endpoint as `/stats` shows them. */
export interface CredentialStatus {
  /** `passthrough`, or the type of `auth`. */
  readonly type: 'clientCredentials' | 'tokenExchange' | 'oauth' | 'passthrough';
  /**
   * `none` = no token was needed yet, or the one there was has ended; `failing` = the last request for a token failed;
   * `needs_login` = a user has to log in.
   */
  readonly state: 'none' | 'valid' | 'failing' | 'needs_login';
  /** Why the last request for a token failed, '' = it did not. */
  readonly reason: string;
  /** Until the gateway's own token ends; absent = there is none, or it has no known end. */
  readonly endsInSeconds?: number;
  /** Where a user logs in; absent = nobody has to, or there is no port for it. */
  readonly loginUrl?: string;
  /** Tokens of callers, or logins of principals, that are kept. */
  readonly callerTokens: Count;
  /** Tokens that were issued, requests for one that failed, and tokens that the upstream refused before their end. */
  readonly issued: Count;
  readonly failed: Count;
  readonly refused: Count;
}

/** The tokens of one client at one token endpoint. */
interface Tokens {
  readonly log: TokenLog;
  /** The gateway's own one. */
  readonly own: RenewedToken;
  /** Of callers; null = the gateway's own one serves for everything. */
  readonly callers: CallerTokens | null;
}

/** See the file comment. One for each pool. Servers with the same `auth` share their tokens. */
export class UpstreamCredentials implements CredentialSource {
  readonly #log: UpstreamLog;
  readonly #config: Current<Snapshot>;
  readonly #loggedIn: LoggedIn;
  /** Null until a server wants them. */
  #logins: Logins | null = null;
  /** See {@link listening}. */
  #origin = '';
  /** By `auth` as text. */
  readonly #tokens = new Map<string, Tokens>();
  /** Servers whose `passthrough` was logged. */
  readonly #passedThrough = new Set<string>();

  constructor(log: UpstreamLog, config: Current<Snapshot>, loggedIn: LoggedIn) {
    this.#log = log;
    this.#config = config;
    this.#loggedIn = loggedIn;
  }

  /** The data port is open. @param origin by which a browser on this machine reaches it */
  listening(origin: string): void {
    this.#origin = origin;
    this.#logins?.listening(origin);
  }

  /** See `FrontHandler.login`. */
  page(path: string, query: string, cookies: string): Promise<LoginAnswer> | null {
    return this.#logins?.page(path, query, cookies) ?? null;
  }

  loginAdvice({ name }: ServerSnapshot): string {
    return this.#logins?.ofGateway(name)?.clientAdvice ?? '';
  }

  /** Nothing more is watched. */
  close(): void {
    this.#logins?.close();
  }

  of(server: ServerSnapshot, { auth }: UrlEndpointSnapshot, profile: ConnectionProfile): Credentials {
    if (server.passthrough) {
      this.#warn(server);
      return new PassedTokens(this.#own(auth), profile);
    }
    if (auth?.type === 'oauth') return this.#loginsOf().of(auth, profile);
    if (auth?.type === 'tokenExchange') {
      const { callers } = this.#tokensOf(auth);
      if (callers !== null) return new ExchangedTokens(callers, this.#own(auth), profile);
    }
    return auth === undefined ? FIXED_CREDENTIALS : this.#own(auth);
  }

  /** Null = the credentials are fixed. */
  status(server: ServerSnapshot, endpoint: EndpointSnapshot): CredentialStatus | null {
    if (endpoint.transport === 'stdio') return null;
    const { auth } = endpoint;
    if (auth?.type === 'oauth') return this.#loginStatus(server);
    const tokens = auth === undefined || auth.type === 'own' ? undefined : this.#tokens.get(canonical(auth));
    if (!server.passthrough && (auth === undefined || auth.type === 'own')) return null;
    const type = server.passthrough ? 'passthrough' : auth?.type === 'tokenExchange' ? auth.type : 'clientCredentials';
    if (tokens === undefined) return { type, state: 'none', reason: '', callerTokens: 0, ...NO_COUNTS };
    const { log, own, callers } = tokens;
    const { leftMs } = own;
    const callerTokens = callers?.size ?? 0;
    const hasTokens = leftMs > 0 || callerTokens > 0;
    return {
      type,
      state: log.reason !== '' ? 'failing' : hasTokens ? 'valid' : 'none',
      reason: log.reason,
      ...(leftMs > 0 && Number.isFinite(leftMs) ? { endsInSeconds: Math.floor(leftMs / 1_000) } : {}),
      callerTokens,
      issued: log.issuedCount,
      failed: log.failedCount,
      refused: log.refusedCount,
    };
  }

  #loginsOf(): Logins {
    if (this.#logins === null) {
      const { logins, sessions } = this.#config.current;
      const store = openLoginStore(logins, sessions.secrets);
      this.#logins = new Logins(store, logins, this.#log, this.#loggedIn);
      this.#logins.listening(this.#origin);
    }
    return this.#logins;
  }

  #loginStatus(server: ServerSnapshot): CredentialStatus {
    const own = this.#logins?.ofGateway(server.name);
    const callerTokens = this.#logins?.countOfPrincipals(server.name) ?? 0;
    if (own === undefined) return { type: 'oauth', state: 'none', reason: '', ...NO_COUNTS, callerTokens };
    const { counts, leftMs, needsLogin, reason, wantedScope } = own;
    const loginUrl = needsLogin || wantedScope !== '' ? (this.#logins?.linkOf(own) ?? '') : '';
    return {
      type: 'oauth',
      state: needsLogin ? 'needs_login' : reason !== '' ? 'failing' : leftMs > 0 ? 'valid' : 'none',
      reason: withoutLink(reason),
      ...(loginUrl === '' ? {} : { loginUrl }),
      ...(leftMs > 0 && Number.isFinite(leftMs) ? { endsInSeconds: Math.floor(leftMs / 1_000) } : {}),
      callerTokens,
      ...counts,
    };
  }

  /** Forgets tokens that no server of a new configuration asks for; endpoints that still use them keep them. */
  retain(servers: readonly ServerSnapshot[]): void {
    const used = new Set(
      servers
        .flatMap(({ endpoints }) =>
          endpoints.flatMap((endpoint) => (endpoint.transport === 'stdio' ? [] : (endpoint.auth ?? []))),
        )
        .map(canonical),
    );
    for (const key of this.#tokens.keys()) if (!used.has(key)) this.#tokens.delete(key);
  }

  /** Of requests of the gateway itself. */
  #own(auth: UpstreamAuthSnapshot | undefined): Credentials {
    if (auth === undefined) return FIXED_CREDENTIALS;
    if (auth.type === 'own') return new OwnHeaders(auth.authorization);
    if (auth.type === 'oauth') return this.#loginsOf().of(auth, SHARED_PROFILE);
    if (auth.type === 'tokenExchange' && auth.discovery === 'none') return FIXED_CREDENTIALS;
    return new GatewayToken(this.#tokensOf(auth).own);
  }

  #tokensOf(auth: Exclude<UpstreamAuthSnapshot, { type: 'own' | 'oauth' }>): Tokens {
    const key = canonical(auth);
    let tokens = this.#tokens.get(key);
    if (tokens === undefined) {
      const log = new TokenLog(this.#log, auth.endpoint);
      const own = new RenewedToken({ request: () => requestOwnToken(auth.endpoint) }, log);
      tokens = { log, own, callers: auth.type === 'tokenExchange' ? new CallerTokens(auth, log) : null };
      this.#tokens.set(key, tokens);
    }
    return tokens;
  }

  #warn({ name }: ServerSnapshot): void {
    if (this.#passedThrough.has(name)) return;
    this.#passedThrough.add(name);
    this.#log.warn({ server: name }, passthroughWarning(name));
  }
}

const NO_COUNTS = { issued: 0, failed: 0, refused: 0 } as const;

function requestOwnToken(endpoint: TokenEndpointSnapshot) {
  return requestToken(endpoint, { grant_type: 'client_credentials' });
}
