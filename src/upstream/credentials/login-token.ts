import type { Milliseconds } from '../../units.js';
import { type OAuthSnapshot, refreshed } from './login-flow.js';
import { type Login, type LoginKey, type LoginStore, LoginStoreError } from './login-store.js';
import type { TokenSource } from './renewed-token.js';
import { type IssuedToken, TokenError } from './token-endpoint.js';

/** What a login is asked for by, and what becomes of it. */
export interface LoginObserver {
  /** A sentence that says how the user logs in. */
  readonly invitation: string;
  /** The renewed tokens could not be written: they are lost with the process. */
  notKept(reason: string): void;
}

/**
 * The access token of one login, renewed by its refresh token. Other processes may renew it as well: one request is made, by
 * whoever has the lock, and the others read what came of it.
 */
export class LoginToken implements TokenSource {
  readonly #auth: OAuthSnapshot;
  readonly #key: LoginKey;
  readonly #store: LoginStore;
  readonly #observer: LoginObserver;
  /** The access token that was given last: asked again, another one is needed. */
  #given = '';
  /** What could not be written. */
  #unsaved: Login | null = null;

  constructor(auth: OAuthSnapshot, key: LoginKey, store: LoginStore, observer: LoginObserver) {
    this.#auth = auth;
    this.#key = key;
    this.#store = store;
    this.#observer = observer;
  }

  /** @throws TokenError with the code GW_UPSTREAM_LOGIN where the user has to log in */
  async request(): Promise<IssuedToken> {
    try {
      const login = this.#usable(await this.#read());
      if (login !== null) return this.#give(login);
      return await this.#store.locked(this.#key, () => this.#renew());
    } catch (error) {
      if (error instanceof TokenError) throw error;
      if (error instanceof LoginStoreError) throw this.#needsLogin(error.message);
      throw new TokenError(
        `The login could not be renewed: ${error instanceof Error ? error.message : String(error)}.`,
      );
    }
  }

  /** Runs while no other process renews. */
  async #renew(): Promise<IssuedToken> {
    const login = await this.#read();
    const usable = this.#usable(login);
    if (usable !== null) return this.#give(usable);
    if (login === null) throw this.#needsLogin('Nobody has logged in yet.');
    if (login.refreshToken === '') throw this.#needsLogin('The login has ended.');
    let next: Login;
    try {
      next = await refreshed(login);
    } catch (error) {
      return await this.#afterRefusal(login, error);
    }
    await this.#keep(next);
    return this.#give(next);
  }

  /** Only `invalid_grant` ends a login (RFC 6749 5.2); whatever else fails may succeed later. */
  async #afterRefusal(login: Login, error: unknown): Promise<IssuedToken> {
    const { errorCode } = error as { errorCode?: unknown };
    if (errorCode !== 'invalid_grant') {
      const isRefusal = typeof errorCode === 'string' && errorCode !== 'server_error';
      const why = isRefusal ? `refused the request (${errorCode.slice(0, 64)})` : 'gave no usable answer';
      throw new TokenError(`The login could not be renewed: the authorization server ${why}.`, isRefusal);
    }
    // A process that has lost its lock meanwhile may have used the refresh token.
    const latest = this.#usable(await this.#read());
    if (latest !== null && latest.refreshToken !== login.refreshToken) return this.#give(latest);
    await this.#keep({ ...login, accessToken: '', refreshToken: '', endsAt: 0 });
    throw this.#needsLogin('The authorization server has ended the login (invalid_grant).');
  }

  async #keep(login: Login): Promise<void> {
    try {
      await this.#store.write(this.#key, login);
      this.#unsaved = null;
    } catch (error) {
      if (!(error instanceof LoginStoreError)) throw error;
      this.#unsaved = login;
      this.#observer.notKept(error.message);
    }
  }

  /** Null = there is none for this configuration. */
  async #read(): Promise<Login | null> {
    const login = this.#unsaved ?? (await this.#store.read(this.#key));
    const { clientId } = this.#auth;
    return login === null || (clientId !== '' && login.client.client_id !== clientId) ? null : login;
  }

  /** A login whose token can be used and was not given before; else null. */
  #usable(login: Login | null): Login | null {
    if (login === null || login.accessToken === '' || login.accessToken === this.#given) return null;
    return leftMs(login) > 0 ? login : null;
  }

  #give(login: Login): IssuedToken {
    this.#given = login.accessToken;
    return { accessToken: login.accessToken, lifetimeMs: login.endsAt === 0 ? 0 : Math.max(1, leftMs(login)) };
  }

  #needsLogin(reason: string): TokenError {
    return new TokenError(`${reason} ${this.#observer.invitation}`, true, '', 'GW_UPSTREAM_LOGIN');
  }
}

function leftMs({ endsAt }: Login): Milliseconds {
  return endsAt === 0 ? Number.POSITIVE_INFINITY : endsAt - Date.now();
}
