import type { AuthSnapshot } from '../../src/config/snapshot/auth.js';
import { allProviders } from '../../src/config/snapshot/endpoint-auth.js';
import type { Snapshot } from '../../src/config/snapshot/index.js';
import { Authenticator } from './index.js';
import type { VerifierContext } from './verifier.js';

/** The authenticators of all endpoints. Those whose settings a reload leaves as they are remember what they have verified. One per worker. */
export class Authenticators {
  readonly #context: VerifierContext;
  /** By their settings. */
  #known = new Map<string, Authenticator>();
  /** By position in `Snapshot.views`. */
  #byView: readonly Authenticator[] = [];
  #gateway: Authenticator;

  constructor(snapshot: Snapshot, context: VerifierContext) {
    this.#context = context;
    this.#gateway = this.#compile(snapshot);
  }

  /** What decides about credentials at a view. @param view position in `Snapshot.views` */
  at(view: number): Authenticator {
    return this.#byView[view] ?? this.#gateway;
  }

  /** Follows a reload. */
  reconfigure(snapshot: Snapshot): void {
    this.#gateway = this.#compile(snapshot);
  }

  /** Removes all remembered credentials. */
  forget(): void {
    for (const authenticator of this.#known.values()) authenticator.forget();
  }

  /** @returns the authenticator of the gateway */
  #compile(snapshot: Snapshot): Authenticator {
    const before = this.#known;
    this.#known = new Map();
    const urls = allProviders(snapshot).flatMap((one) => (one.type === 'jwt' ? (one.jwksUrl ?? []) : []));
    this.#context.keys.keep(new Set(urls));
    const made = (auth: AuthSnapshot): Authenticator => {
      const settings = JSON.stringify(auth);
      const found = this.#known.get(settings) ?? before.get(settings) ?? new Authenticator(auth, this.#context);
      this.#known.set(settings, found);
      return found;
    };
    const gateway = made(snapshot.auth);
    this.#byView = snapshot.views.map(({ auth }) => (auth === null ? gateway : made(auth)));
    return gateway;
  }
}
