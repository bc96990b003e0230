/** The kinds of {@link Credentials} that are not fixed. */
import type { Exchange } from '../../request/exchange/index.js';
import {
  CredentialError,
  type CredentialRefusal,
  type Credentials,
  callerToken,
  NO_HEADERS,
} from '../core/credentials.js';
import type { ConnectionProfile } from '../core/types.js';
import type { CallerTokens } from './caller-tokens.js';
import { type RenewedToken, tokenIn } from './renewed-token.js';

/** Another token may help; it does not against a status of 403 (RFC 6750 3.1). */
const UNAUTHORIZED = 401;

/** One token of the gateway for all requests. */
export class GatewayToken implements Credentials {
  readonly advice =
    'The authorization server of mcpServers.NAME.auth issued a token that the upstream does not accept.';
  readonly #token: RenewedToken;

  constructor(token: RenewedToken) {
    this.#token = token;
  }

  current(): readonly string[] | null {
    return this.#token.current(performance.now());
  }

  fetch(): Promise<void> {
    return this.#token.fetch();
  }

  refused(headers: readonly string[], { status }: CredentialRefusal): boolean {
    return status === UNAUTHORIZED && this.#token.refused(headers);
  }
}

/** The same headers for all requests of the gateway itself. */
export class OwnHeaders implements Credentials {
  readonly advice = '';
  readonly #headers: readonly string[];

  /** @param authorization '' = none */
  constructor(authorization: string) {
    this.#headers = authorization === '' ? NO_HEADERS : Object.freeze(['authorization', authorization]);
  }

  current(): readonly string[] {
    return this.#headers;
  }

  fetch(): Promise<void> {
    return Promise.resolve();
  }

  refused(): boolean {
    return false;
  }
}

/**
 * What credentials of clients have in common: a call carries those of its client. Requests of the gateway itself carry those
 * of the client that the endpoint is for, as it presented them last, and its own ones at an endpoint of all clients.
 */
abstract class ClientCredentials implements Credentials {
  abstract readonly advice: string;
  /** For requests of the gateway itself; null = the endpoint belongs to a client. */
  protected readonly own: Credentials | null;
  /** The token that the client presented last, '' = none. */
  #last: string;

  constructor(own: Credentials, { owner, token }: ConnectionProfile) {
    this.own = owner === null ? own : null;
    this.#last = token;
  }

  /** The headers for a token of a client, not empty; see {@link Credentials.current}. */
  protected abstract headersOf(token: string): readonly string[] | null;
  /** Fetches them. @throws CredentialError */
  protected abstract fetchOf(token: string): Promise<void>;
  abstract refused(headers: readonly string[], refusal: CredentialRefusal): boolean;

  current(exchange: Exchange | null): readonly string[] | null {
    if (exchange === null && this.own !== null) return this.own.current(null);
    const token = this.#tokenOf(exchange);
    return token === '' ? null : this.headersOf(token);
  }

  fetch(exchange: Exchange | null): Promise<void> {
    if (exchange === null && this.own !== null) return this.own.fetch(null);
    const token = this.#tokenOf(exchange);
    if (token !== '') return this.fetchOf(token);
    return Promise.reject(new CredentialError('GW_CLIENT_TOKEN_REQUIRED', ''));
  }

  #tokenOf(exchange: Exchange | null): string {
    if (exchange === null) return this.#last;
    const token = callerToken(exchange);
    if (token !== '') this.#last = token;
    return token;
  }
}

/** Tokens that the tokens of callers are exchanged for. */
export class ExchangedTokens extends ClientCredentials {
  readonly advice = 'The upstream does not accept the token that the token of the caller was exchanged for.';
  readonly #tokens: CallerTokens;
  /** Those of the last call: the next one is often of the same caller. */
  #subjectToken = '';
  #token: RenewedToken | null = null;

  constructor(tokens: CallerTokens, own: Credentials, profile: ConnectionProfile) {
    super(own, profile);
    this.#tokens = tokens;
  }

  refused(headers: readonly string[], { status }: CredentialRefusal): boolean {
    return status === UNAUTHORIZED && tokenIn(headers)?.refused(headers) === true;
  }

  protected headersOf(token: string): readonly string[] | null {
    return this.#of(token).current(performance.now());
  }

  protected fetchOf(token: string): Promise<void> {
    return this.#of(token).fetch();
  }

  #of(subjectToken: string): RenewedToken {
    if (this.#token !== null && subjectToken === this.#subjectToken) return this.#token;
    this.#subjectToken = subjectToken;
    this.#token = this.#tokens.of(subjectToken);
    return this.#token;
  }
}

/** The tokens of clients as they are. */
export class PassedTokens extends ClientCredentials {
  readonly advice = 'It was the token of the client, which is passed on (mcpServers.NAME.passthrough).';
  #token = '';
  #headers = NO_HEADERS;

  refused(headers: readonly string[], { status }: CredentialRefusal): boolean {
    return status === UNAUTHORIZED && tokenIn(headers)?.refused(headers) === true;
  }

  protected headersOf(token: string): readonly string[] {
    if (token !== this.#token) {
      this.#token = token;
      this.#headers = Object.freeze(['authorization', `Bearer ${token}`]);
    }
    return this.#headers;
  }

  protected fetchOf(): Promise<void> {
    return Promise.resolve();
  }
}
