import type { AuthProvider, AuthSnapshot } from '../config/snapshot/auth.js';
import { authAt, type EndpointAuth } from '../config/snapshot/endpoint-auth.js';

/** Why a credential of these providers cannot be checked at the moment, a sentence; '' = its check waits for nothing. */
export function credentialWait(providers: readonly Pick<AuthProvider, 'waitsFor'>[]): string {
  const causes = providers.flatMap(({ waitsFor }) => waitsFor ?? []);
  return causes.length === 0 ? '' : `Its check waits for ${causes.join(' or ')}.`;
}

/** The same of the credential that a request carries. */
export function callerWait(
  snapshot: EndpointAuth<AuthSnapshot>,
  { scheme, view }: { readonly scheme: number; readonly view: number },
): string {
  return credentialWait(authAt(snapshot, view).providers.filter((one) => one.scheme === scheme));
}
