import type { AuthSnapshot } from '../../../config/snapshot/auth.js';
import { authAt } from '../../../config/snapshot/endpoint-auth.js';
import type { Snapshot } from '../../../config/snapshot/index.js';
import type { ResourceMetadata } from '../../../protocol/resource-metadata.js';
import { compilePattern, matchesAny } from '../../../shared/patterns/text.js';
import { Scheme } from '../../../shared/scheme.js';
import { CredentialRules } from './credentials.js';

/** How clients of one view authenticate, as accept sees it. */
export class AuthRules {
  readonly isRequired: boolean;
  readonly settings: AuthSnapshot;
  /** Where credentials are looked for. */
  readonly credentials: CredentialRules;
  readonly #snapshot: Snapshot;
  readonly #view: number;

  constructor(snapshot: Snapshot, view: number, credentials: CredentialRules) {
    this.isRequired = !credentials.isOpen;
    this.settings = authAt(snapshot, view);
    this.credentials = credentials;
    this.#snapshot = snapshot;
    this.#view = view;
  }

  /** What the protected-resource metadata says; null = there is none, since every client is served. Few clients ask for it. */
  metadata(): ResourceMetadata | null {
    if (!this.isRequired) return null;
    const { authorizationServers, providers } = this.settings;
    return {
      name: this.#snapshot.name,
      authorizationServers,
      scopes: this.#scopes(),
      takesBearer: providers.some(({ scheme }) => scheme === Scheme.bearer),
    };
  }

  /** Those that the view needs, and the routes that calls at its path may come on. */
  #scopes(): string[] {
    const { routes, views } = this.#snapshot;
    const { path = '', requiredScopes = [] } = views[this.#view] ?? {};
    const concerned = routes.filter(({ conditions }) => {
      const paths = conditions?.paths ?? [];
      return paths.length === 0 || matchesAny(paths.map(compilePattern), path);
    });
    return [...new Set([...requiredScopes, ...concerned.flatMap((route) => route.requiredScopes)])];
  }
}

/**
 * The rules by position in `Snapshot.views`; views without an `auth` of their own share the credentials of the gateway.
 *
 * @param headers gets the positions of the headers that carry credentials, by lower-case name
 */
export function authRules(snapshot: Snapshot, headers: Map<string, number>): readonly AuthRules[] {
  const known = new Map<AuthSnapshot, CredentialRules>();
  return snapshot.views.map((_, view) => {
    const auth = authAt(snapshot, view);
    const credentials = known.get(auth) ?? new CredentialRules(auth, headers);
    known.set(auth, credentials);
    return new AuthRules(snapshot, view, credentials);
  });
}
