/** The logins of users at upstreams: who has to log in, and the pages of the data port where they do. */
import { LRUCache } from 'lru-cache';
import type { LoginsSnapshot } from '../../config/snapshot/index.js';
import type { LoginAnswer } from '../../request/accept/http/handler.js';
import { CALLBACK_PATH, LOGIN_PATH } from '../../request/accept/http/paths.js';
import { HandleSealer } from '../../session/handles.js';
import type { Count, Milliseconds } from '../../units.js';
import type { UpstreamLog } from '../core/endpoint.js';
import type { ConnectionProfile } from '../core/types.js';
import { browserCookie, browserOf, newBrowser, proofOf } from './login-browser.js';
import { LoginCredential, type LoginOwner } from './login-credential.js';
import { LoginError, LoginFlow, type OAuthSnapshot } from './login-flow.js';
import { LoginStore, LoginStoreError, loginKey } from './login-store.js';

/** Time that a user has to log in. */
const FLOW_MS: Milliseconds = 600_000;
/** Logins that are under way; the oldest is forgotten for one more. */
const MAX_FLOWS: Count = 1_000;

/** The purpose of the key that logins are sealed with. */
const SEALING = ['upstream login', 'sy1u.'] as const;

/** Where the logins of a configuration are kept. @param secrets of sessions, newest first */
export function openLoginStore({ folder, maxLogins }: LoginsSnapshot, secrets: readonly string[]): LoginStore {
  return new LoginStore(folder, new HandleSealer(secrets, ...SEALING), maxLogins);
}

interface Flow {
  readonly flow: LoginFlow;
  readonly credential: LoginCredential;
  /** Where it was begun. */
  readonly browser: string;
}

/** Called when a user has logged in at a server. @param ticket of the link that was good for it */
export type LoggedIn = (server: string, ticket: string) => void;

/** See the file comment. One for each pool with a server that wants it. */
export class Logins implements LoginOwner {
  readonly #loggedIn: LoggedIn;
  readonly #store: LoginStore;
  readonly #log: UpstreamLog;
  readonly #publicUrl: string;
  /** By key. */
  readonly #credentials: LRUCache<string, LoginCredential>;
  /** Those of the gateway itself, by name of the server. */
  readonly #ofGateway = new Map<string, LoginCredential>();
  readonly #flows = new LRUCache<string, Flow>({ max: MAX_FLOWS, ttl: FLOW_MS });
  /** Where browsers reach the gateway, '' = nowhere. */
  #origin = '';

  constructor(store: LoginStore, rules: LoginsSnapshot, log: UpstreamLog, loggedIn: LoggedIn) {
    this.#store = store;
    this.#log = log;
    this.#loggedIn = loggedIn;
    this.#publicUrl = rules.publicUrl;
    this.#credentials = new LRUCache({ max: rules.maxLogins, dispose: (credential) => credential.close() });
  }

  /** The data port is open. @param origin as a loopback address reaches it */
  listening(origin: string): void {
    this.#origin = this.#publicUrl || origin;
  }

  /** The credentials of a connection. */
  of(auth: OAuthSnapshot, { owner }: ConnectionProfile): LoginCredential {
    const principal = auth.per === 'principal' && owner !== null ? subjectText(owner.subject) : '';
    const key = loginKey(auth.server, auth.serverUrl, principal);
    const name = `${key.server}-${key.principal}`;
    let credential = this.#credentials.get(name);
    // A reload may ask for other scopes or another client.
    if (credential === undefined || JSON.stringify(credential.auth) !== JSON.stringify(auth)) {
      credential = new LoginCredential(auth, key, principal !== '', {
        store: this.#store,
        owner: this,
        log: this.#log,
      });
      this.#credentials.set(name, credential);
    }
    if (principal === '') this.#ofGateway.set(auth.server, credential);
    return credential;
  }

  /** That of the gateway itself at a server; undefined = it needed none yet. */
  ofGateway(server: string): LoginCredential | undefined {
    return this.#ofGateway.get(server);
  }

  /** How many principals have one at a server. */
  countOfPrincipals(server: string): Count {
    return [...this.#credentials.values()].filter((each) => each.isOfPrincipal && each.auth.server === server).length;
  }

  linkOf({ auth, ticket }: LoginCredential): string {
    return this.#origin === '' ? '' : `${this.#originOf(auth)}${LOGIN_PATH}?ticket=${ticket}`;
  }

  loggedIn({ auth }: LoginCredential, ticket: string): void {
    this.#loggedIn(auth.server, ticket);
  }

  /** The browser has to come back to the host where it began, which knows its cookie. */
  #originOf({ redirectUrl }: OAuthSnapshot): string {
    const isOfGateway = redirectUrl.endsWith(CALLBACK_PATH);
    if (!isOfGateway || new URL(redirectUrl).hostname === new URL(this.#origin).hostname) return this.#origin;
    return redirectUrl.slice(0, -CALLBACK_PATH.length);
  }

  /** Answers the browser of a user. Never rejects. @param cookies `Cookie` of the request */
  async page(path: string, query: string, cookies: string): Promise<LoginAnswer> {
    const parameters = new URLSearchParams(query);
    try {
      return path === LOGIN_PATH ? await this.#login(parameters, cookies) : await this.#callback(parameters, cookies);
    } catch (error) {
      const isKnown = error instanceof LoginError || error instanceof LoginStoreError;
      const sentence = isKnown ? error.message : 'The login failed; the log says why.';
      this.#log.warn({ reason: isKnown ? sentence : String(error) }, 'a login at an upstream failed');
      return text(502, `${sentence}\nOpen the link again to try once more.\n`);
    }
  }

  async #login(query: URLSearchParams, cookies: string): Promise<LoginAnswer> {
    const ticket = query.get('ticket') ?? '';
    const credential = [...this.#credentials.values()].find((known) => known.ticket === ticket);
    if (credential === undefined) return text(404, 'This link is not valid any more.\n');
    const { auth, key, wantedScope } = credential;
    const isSecure = this.#originOf(auth).startsWith('https:');
    const browser = browserOf(cookies, isSecure) || newBrowser();
    const proof = proofOf(browser, ticket);
    if (query.get('confirmed') !== proof) {
      return { ...confirmation(credential, proof), cookie: browserCookie(browser, isSecure) };
    }
    const redirectUrl = auth.redirectUrl || `${this.#origin}${CALLBACK_PATH}`;
    const before = await this.#store.read(key).catch(() => null);
    const flow = new LoginFlow(auth, redirectUrl, before, joined(before?.scope ?? '', wantedScope));
    const { href } = await flow.start();
    this.#flows.set(flow.state, { flow, credential, browser });
    return { ...text(302, ''), location: href };
  }

  async #callback(query: URLSearchParams, cookies: string): Promise<LoginAnswer> {
    const state = query.get('state') ?? '';
    const started = this.#flows.get(state);
    if (started === undefined) return text(404, 'This login was not started here, or has ended.\n');
    // Good for one answer.
    this.#flows.delete(state);
    const { browser, credential, flow } = started;
    if (browserOf(cookies, this.#originOf(credential.auth).startsWith('https:')) !== browser) {
      return text(
        403,
        'This login was begun in another browser, or at another address of the gateway. Open the link again.\n',
      );
    }
    const login = await flow.finish(query);
    await this.#store.locked(credential.key, () => this.#store.write(credential.key, login));
    this.#log.info({ server: credential.auth.server }, 'a user has logged in at an upstream');
    credential.loggedIn();
    return text(200, `Logged in at ${credential.auth.server}. This page can be closed.\n`);
  }

  /** Nothing more is watched. */
  close(): void {
    this.#credentials.clear();
  }
}

/** Scopes for a step-up: those of the login and those that the upstream asked for. @param wanted '' = it is none */
export function joined(granted: string, wanted: string): string {
  if (wanted === '') return '';
  return [...new Set(`${granted} ${wanted}`.split(' ').filter((scope) => scope !== ''))].join(' ');
}

function subjectText(subject: Int32Array): string {
  return Buffer.from(subject.buffer, subject.byteOffset, subject.byteLength).toString('hex');
}

function text(status: number, body: string): LoginAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body, location: '', cookie: '' };
}

/** The page before each login; it is not skipped, see login-browser.ts. @param proof makes the way on good for this browser */
function confirmation({ auth, isOfPrincipal, ticket }: LoginCredential, proof: string): LoginAnswer {
  const href = `?ticket=${ticket}&amp;confirmed=${proof}`;
  const server = auth.server.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
  const who = isOfPrincipal
    ? `An MCP client wants to use your account at <b>${server}</b>.
<p>Go on only if you use that client yourself and it has shown you this link. If somebody sent it to you, they would use your account.`
    : `The clients of an MCP gateway want to use your account at <b>${server}</b>, all of them the same one.
<p>Go on only if you know this gateway and those who may call it: they would use your account.`;
  const body = `<!doctype html><meta charset="utf-8"><title>Log in at ${server}</title>
<p>${who}
<p><a href="${href}">Log in at ${server}</a>
<p>If this page comes again, the browser does not keep its cookie.
`;
  return { status: 200, contentType: 'text/html; charset=utf-8', body, location: '', cookie: '' };
}
