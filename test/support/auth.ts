/** `auth` of snapshots for tests: providers with few words. */
import type { AuthProvider, AuthSnapshot, Grant, JwtProvider } from '../../src/config/snapshot/auth.js';
import { Scheme } from '../../src/shared/scheme.js';

type Listed = Pick<Grant, 'subject' | 'scopes'> & Partial<Grant> & { readonly token: string };

/** A provider, or what is enough to make one. */
export type ProviderLike =
  | { readonly type: 'none' }
  | { readonly type: 'bearer'; readonly tokens: readonly Listed[]; readonly resourceMetadata?: string | null }
  | (Omit<JwtProvider, 'scheme' | 'waitsFor' | 'verifyExpiry' | 'permissionClaims'> & Partial<JwtProvider>)
  | Exclude<AuthProvider, { type: 'bearer' | 'jwt' }>;

/** The `auth` of a snapshot with these providers. */
export function authOf(...likes: readonly ProviderLike[]): AuthSnapshot {
  const providers = likes.flatMap((like) => provider(like) ?? []);
  return { realm: '', providers, resourceMetadata: null, authorizationServers: [] };
}

function provider(like: ProviderLike): AuthProvider | null {
  if (like.type === 'none') return null;
  if (like.type === 'bearer') {
    const tokens = like.tokens.map((entry) => ({ permissions: [], metadata: {}, ...entry }));
    return { type: 'bearer', scheme: Scheme.bearer, waitsFor: null, tokens };
  }
  if (like.type !== 'jwt') return like;
  const waitsFor = like.jwksUrl === null ? null : 'the keys of auth.jwksUrl';
  return { verifyExpiry: true, permissionClaims: ['permissions'], waitsFor, ...like, scheme: Scheme.bearer };
}
