import { randomBytes } from 'node:crypto';
import { type Stats, unwatchFile, watchFile } from 'node:fs';
import { LOGIN_PATH } from '../../request/accept/http/paths.js';
import type { Count, Milliseconds } from '../../units.js';
import type { CredentialRefusal, Credentials } from '../core/credentials.js';
import type { UpstreamLog } from '../core/endpoint.js';
import type { OAuthSnapshot } from './login-flow.js';
import type { LoginKey, LoginStore } from './login-store.js';
import { type LoginObserver, LoginToken } from './login-token.js';
import { RenewedToken, type TokenObserver } from './renewed-token.js';
import type { TokenError } from './token-endpoint.js';

/** Time between two looks at the file of a login that is missing: `switchyard login` writes it. */
const WATCH_MS: Milliseconds = 1_000;

/** What a credential needs of the logins that it belongs to. */
export interface LoginOwner {
  /** Where a user logs in, '' = the gateway has no port to serve it on. */
  linkOf(credential: LoginCredential): string;
  /** The user has logged in: endpoints that wait for that may connect. @param ticket of the link that was good until then */
  loggedIn(credential: LoginCredential, ticket: string): void;
}

/** The credentials of one server for the gateway or for one principal, which a user has to consent to. */
export class LoginCredential implements Credentials, TokenObserver, LoginObserver {
  readonly auth: OAuthSnapshot;
  readonly key: LoginKey;
  /** Of a principal; else of the gateway itself. */
  readonly isOfPrincipal: boolean;
  /** Unguessable part of the link: another one after each login, so that no old link leads to one. */
  ticket = newTicket();
  readonly counts: { issued: Count; failed: Count; refused: Count } = { issued: 0, failed: 0, refused: 0 };
  /** A user has to log in. */
  needsLogin = false;
  /** Why there is no token, '' = there is one, or none was needed yet. */
  reason = '';
  /** Scopes that the upstream asked for beyond those of the login (step-up), separated by spaces. */
  wantedScope = '';
  readonly #token: RenewedToken;
  readonly #store: LoginStore;
  readonly #owner: LoginOwner;
  readonly #log: UpstreamLog;
  /** The file that is watched, '' = none. */
  #watched = '';

  constructor(
    auth: OAuthSnapshot,
    key: LoginKey,
    isOfPrincipal: boolean,
    parts: { readonly store: LoginStore; readonly owner: LoginOwner; readonly log: UpstreamLog },
  ) {
    this.auth = auth;
    this.key = key;
    this.isOfPrincipal = isOfPrincipal;
    this.#store = parts.store;
    this.#owner = parts.owner;
    this.#log = parts.log;
    this.#token = new RenewedToken(new LoginToken(auth, key, parts.store, this), this);
  }

  get advice(): string {
    if (this.wantedScope === '') return 'It does not accept the login of the user.';
    return `It wants more scopes (${this.wantedScope}). ${this.invitation}`;
  }

  /** See {@link LoginObserver}. */
  get invitation(): string {
    const link = this.#owner.linkOf(this);
    const scope = this.wantedScope === '' ? '' : ` --scope "${this.wantedScope}"`;
    const command = `switchyard login ${this.auth.server}${scope}`;
    if (this.isOfPrincipal) return link === '' ? 'The gateway has no port for logins.' : `Log in at ${link}`;
    return link === '' ? `Log in by: ${command}` : `Log in at ${link} or by: ${command}`;
  }

  /**
   * What clients are told while the server cannot be connected; '' = nobody has to log in. Where each principal has a login of
   * its own, the link of the gateway's one is for operators only: it leads to the lists that all clients get.
   */
  get clientAdvice(): string {
    if (!this.needsLogin) return '';
    if (this.auth.per === 'gateway') return this.invitation;
    return `The operator of the gateway has to log in first: switchyard login ${this.auth.server}`;
  }

  get leftMs(): Milliseconds {
    return this.#token.leftMs;
  }

  current(): readonly string[] | null {
    return this.#token.current(performance.now());
  }

  fetch(): Promise<void> {
    return this.#token.fetch();
  }

  refused(headers: readonly string[], { status, challenge }: CredentialRefusal): boolean {
    if (status === 401) return this.#token.refused(headers);
    const scope = /\berror="?insufficient_scope\b/.test(challenge) ? scopeOf(challenge) : '';
    if (scope !== '' && scope !== this.wantedScope) this.#stepUp(scope);
    return false;
  }

  #stepUp(scope: string): void {
    this.wantedScope = scope;
    this.#log.warn(
      { server: this.auth.server, scope, login: this.#logged(this.invitation) },
      'an upstream wants more scopes than a user has granted',
    );
  }

  /** A user has logged in, here or in another process. */
  loggedIn(): void {
    const { ticket } = this;
    this.ticket = newTicket();
    this.wantedScope = '';
    this.needsLogin = false;
    this.#token.reset();
    this.#unwatch();
    this.#owner.loggedIn(this, ticket);
  }

  issued(): void {
    this.counts.issued += 1;
    this.#unwatch();
    if (this.reason !== '') this.#log.info({ server: this.auth.server }, 'the login at an upstream can be used again');
    this.reason = '';
    this.needsLogin = false;
  }

  failed(error: TokenError, keepsToken: boolean): void {
    this.counts.failed += 1;
    this.needsLogin = error.code === 'GW_UPSTREAM_LOGIN';
    const isNews = this.reason !== error.message;
    this.reason = error.message;
    if (this.needsLogin) this.#watch();
    if (!isNews) return;
    const fields = { server: this.auth.server, reason: this.#logged(error.message) };
    if (this.needsLogin) this.#log.warn(fields, 'an upstream waits for a user to log in');
    else if (keepsToken) this.#log.warn(fields, 'a login cannot be renewed yet');
    else this.#log.warn(fields, 'a login cannot be renewed: calls fail until it is');
  }

  /** The link of a principal is for that one alone. */
  #logged(text: string): string {
    return this.isOfPrincipal ? withoutLink(text) : text;
  }

  tokenRefused(): void {
    this.counts.refused += 1;
  }

  /** See {@link LoginObserver}. */
  notKept(reason: string): void {
    this.#log.warn({ server: this.auth.server, reason }, 'a renewed login is lost at the end of this process');
  }

  /** Nothing more is watched. */
  close(): void {
    this.#unwatch();
  }

  /** The command line may log in meanwhile. */
  #watch(): void {
    const file = this.#store.fileOf(this.key);
    if (file === null || this.#watched !== '' || this.isOfPrincipal) return;
    this.#watched = file;
    watchFile(file, { interval: WATCH_MS, persistent: false }, this.#changed);
  }

  #unwatch(): void {
    if (this.#watched !== '') unwatchFile(this.#watched, this.#changed);
    this.#watched = '';
  }

  readonly #changed = ({ size }: Stats): void => {
    if (size > 0) this.loggedIn();
  };
}

const LINK = new RegExp(` at https?://\\S+${LOGIN_PATH}\\?ticket=[\\w-]+(?: or)?`);

/** A sentence that invites to a login, without the link. */
export function withoutLink(text: string): string {
  return text.replace(LINK, '');
}

function newTicket(): string {
  return randomBytes(18).toString('base64url');
}

/** The scopes of a challenge (RFC 6750 section 3); '' = it names none, or characters that are none. */
function scopeOf(challenge: string): string {
  return /\bscope="([\x21\x23-\x5b\x5d-\x7e ]{1,1024})"/.exec(challenge)?.[1]?.trim() ?? '';
}
