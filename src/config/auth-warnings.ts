import type { AuthProvider } from './snapshot/auth.js';
import type { Snapshot } from './snapshot/index.js';
import { quoteKey } from './source/index.js';

/** Sentences about settings of `auth` that permit more than people expect: for the log at each start and reload, and `validate`. */
export function authWarnings({ auth, views }: Pick<Snapshot, 'auth' | 'views'>): string[] {
  const own = views.flatMap((view) => warningsOf(view.auth?.providers ?? [], `views[${quoteKey(view.path)}].auth`));
  return [...warningsOf(auth.providers, 'auth'), ...own];
}

/** @param key of the providers in the configuration */
function warningsOf(providers: readonly AuthProvider[], key: string): string[] {
  return providers.flatMap((provider) => {
    if (provider.type !== 'jwt' || provider.verifyExpiry) return [];
    const of = provider.issuer === null ? '' : ` of ${provider.issuer}`;
    return [
      `${key}.verifyExpiry is false: tokens${of} are accepted for ever, also after their exp; only a revocation ends them`,
    ];
  });
}
