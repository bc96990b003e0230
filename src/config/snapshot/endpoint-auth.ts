/** Who decides about the credentials of clients: `auth` of the configuration, or that of a view on its path. */
import type { AuthProvider, AuthSnapshot } from './auth.js';
import type { Snapshot } from './index.js';

/** The part of a snapshot that says it. */
export interface EndpointAuth<Auth> {
  readonly auth: Auth;
  readonly views: readonly { readonly auth: Auth | null }[];
}

/** What decides about clients of a view. @param view position in `Snapshot.views` */
export function authAt<Auth>({ auth, views }: EndpointAuth<Auth>, view: number): Auth {
  return views[view]?.auth ?? auth;
}

/** All that decides somewhere, the gateway's first. */
export function everyAuth<Auth>({ auth, views }: EndpointAuth<Auth>): Auth[] {
  return [auth, ...views.flatMap((view) => view.auth ?? [])];
}

/** The providers of all endpoints. */
export function allProviders(config: EndpointAuth<Pick<AuthSnapshot, 'providers'>>): AuthProvider[] {
  return everyAuth(config).flatMap(({ providers }) => providers);
}

/** A snapshot with these providers at every endpoint. */
export function withProviders(snapshot: Snapshot, providers: readonly AuthProvider[]): Snapshot {
  const views = snapshot.views.map((view) => ({ ...view, auth: null }));
  return { ...snapshot, auth: { ...snapshot.auth, providers }, views };
}
