import type { AuthSnapshot } from './auth-snapshot.js';

/** Sentences about settings of `auth` that permit more than people expect: for the log at each start and reload, and `validate`. */
export function authWarnings({ providers }: Pick<AuthSnapshot, 'providers'>): string[] {
  return providers.flatMap((provider) => {
    if (provider.type !== 'jwt' || provider.verifyExpiry) return [];
    const of = provider.issuer === null ? '' : ` of ${provider.issuer}`;
    return [
      `auth.verifyExpiry is false: tokens${of} are accepted for ever, also after their exp; only a revocation ends them`,
    ];
  });
}
