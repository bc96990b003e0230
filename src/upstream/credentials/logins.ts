/** The logins of users at upstreams: who has to log in, and the pages of the data port where they do. */
import { LRUCache } from 'lru-cache';
import type { LoginsSnapshot, ServerSnapshot } from '../../config/snapshot.js';
import type { LoginAnswer } from '../../request/accept/http/handler.js';
import { CALLBACK_PATH, LOGIN_PATH } from '../../request/accept/http/paths.js';
import { HandleSealer } from '../../session/handles.js';
import type { Count, Milliseconds } from '../../units.js';
import type { UpstreamLog } from '../core/endpoint.js';
import type { ConnectionProfile } from '../core/types.js';
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
}

/** See the file comment. One for each pool with a server that wants it. */
export class Logins implements LoginOwner {
  /** Called when a user has logged in at that server. */
  readonly #loggedIn: (server: string) => void;
  readonly #store: LoginStore;
  readonly #log: UpstreamLog;
  readonly #publicUrl: string;
  /** By key. */
  readonly #credentials: LRUCache<string, LoginCredential>;
  readonly #flows = new LRUCache<string, Flow>({ max: MAX_FLOWS, ttl: FLOW_MS });
  /** Where browsers reach the gateway, '' = nowhere. */
  #origin = '';

  constructor(store: LoginStore, rules: LoginsSnapshot, log: UpstreamLog, loggedIn: (server: string) => void) {
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
    return credential;
  }

  /** Those of one server: of the gateway and of principals. */
  at({ name }: Pick<ServerSnapshot, 'name'>): LoginCredential[] {
    return [...this.#credentials.values()].filter(({ auth }) => auth.server === name);
  }

  linkOf({ ticket }: LoginCredential): string {
    return this.#origin === '' ? '' : `${this.#origin}${LOGIN_PATH}?ticket=${ticket}`;
  }

  loggedIn({ auth }: LoginCredential): void {
    this.#loggedIn(auth.server);
  }

  /** Answers the browser of a user. Never rejects. */
  async page(path: string, query: string): Promise<LoginAnswer> {
    const parameters = new URLSearchParams(query);
    try {
      return path === LOGIN_PATH ? await this.#login(parameters) : await this.#callback(parameters);
    } catch (error) {
      const isKnown = error instanceof LoginError || error instanceof LoginStoreError;
      const sentence = isKnown ? error.message : 'The login failed; the log says why.';
      this.#log.warn({ reason: isKnown ? sentence : String(error) }, 'a login at an upstream failed');
      return text(502, `${sentence}\nOpen the link again to try once more.\n`);
    }
  }

  async #login(query: URLSearchParams): Promise<LoginAnswer> {
    const ticket = query.get('ticket') ?? '';
    const credential = [...this.#credentials.values()].find((known) => known.ticket === ticket);
    if (credential === undefined) return text(404, 'This link is not valid any more.\n');
    // A user who was sent this link by another one would lend that one the account.
    if (credential.isOfPrincipal && query.get('confirmed') !== '1') return confirmation(credential, ticket);
    const { auth, key, wantedScope } = credential;
    const redirectUrl = auth.redirectUrl || `${this.#origin}${CALLBACK_PATH}`;
    const before = await this.#store.read(key).catch(() => null);
    const flow = new LoginFlow(auth, redirectUrl, before, joined(before?.scope ?? '', wantedScope));
    const { href } = await flow.start();
    this.#flows.set(flow.state, { flow, credential });
    return { ...text(302, ''), location: href };
  }

  async #callback(query: URLSearchParams): Promise<LoginAnswer> {
    const state = query.get('state') ?? '';
    const started = this.#flows.get(state);
    if (started === undefined) return text(404, 'This login was not started here, or has ended.\n');
    // Good for one answer.
    this.#flows.delete(state);
    const { credential, flow } = started;
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
  return { status, contentType: 'text/plain; charset=utf-8', body, location: '' };
}

function confirmation({ auth }: LoginCredential, ticket: string): LoginAnswer {
  const href = `${LOGIN_PATH}?ticket=${encodeURIComponent(ticket)}&amp;confirmed=1`;
  const server = auth.server.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
  const body = `<!doctype html><meta charset="utf-8"><title>Log in at ${server}</title>
<p>An MCP client wants to use your account at <b>${server}</b>.
<p>Go on only if you use that client yourself and it has shown you this link. If somebody sent it to you, they would use your account.
<p><a href="${href}">Log in at ${server}</a>
`;
  return { status: 200, contentType: 'text/html; charset=utf-8', body, location: '' };
}
