import type { AuthProvider } from '../config/auth-snapshot.js';

/** Why a credential of these providers cannot be checked at the moment, a sentence; '' = its check waits for nothing. */
export function credentialWait(providers: readonly Pick<AuthProvider, 'waitsFor'>[]): string {
  const causes = providers.flatMap(({ waitsFor }) => waitsFor ?? []);
  return causes.length === 0 ? '' : `Its check waits for ${causes.join(' or ')}.`;
}
