import type { AuthSnapshot } from '../../../config/auth-snapshot.js';
import { authAt } from '../../../config/endpoint-auth.js';
import type { Snapshot, ViewSnapshot } from '../../../config/snapshot.js';
import type { ResourceMetadata } from '../../../protocol/resource-metadata.js';
import { compilePattern, matchesAny } from '../../../shared/patterns/text.js';
import { Scheme } from '../../../shared/scheme.js';
import { CredentialRules } from './credentials.js';

/** How clients of one view authenticate, as accept sees it; compiled once. */
export interface AuthRules {
  readonly isRequired: boolean;
  /** What the protected-resource metadata says; null = there is none, since every client is served. */
  readonly metadata: ResourceMetadata | null;
  /** Where credentials are looked for. */
  readonly credentials: CredentialRules;
}

/**
 * The rules by position in `Snapshot.views`; views without an `auth` of their own share those of the gateway.
 *
 * @param headers gets the positions of the headers that carry credentials, by lower-case name
 */
export function authRules(snapshot: Snapshot, headers: Map<string, number>): readonly AuthRules[] {
  const known = new Map<AuthSnapshot, CredentialRules>();
  return snapshot.views.map((view, number) => {
    const auth = authAt(snapshot, number);
    const credentials = known.get(auth) ?? new CredentialRules(auth, headers);
    known.set(auth, credentials);
    const isRequired = auth.providers.length > 0;
    return { isRequired, metadata: isRequired ? metadataOf(snapshot, auth, view) : null, credentials };
  });
}

function metadataOf({ name, routes }: Snapshot, auth: AuthSnapshot, view: ViewSnapshot): ResourceMetadata {
  const scopes = [view, ...routes.filter((route) => concerns(route, view))].flatMap((one) => one.requiredScopes);
  return {
    name,
    authorizationServers: auth.authorizationServers,
    scopes: [...new Set(scopes)],
    takesBearer: auth.providers.some(({ scheme }) => scheme === Scheme.bearer),
  };
}

/** Whether calls of a view may come on a route. */
function concerns({ conditions }: Snapshot['routes'][number], { path }: ViewSnapshot): boolean {
  const paths = conditions?.paths ?? [];
  return paths.length === 0 || matchesAny(paths.map(compilePattern), path);
}
