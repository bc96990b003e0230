/** Authentication of clients as the policy works with it: part of the Snapshot, data only. */
import type { Count, Milliseconds, Seconds } from '../../units.js';

/** How clients authenticate. */
export interface AuthSnapshot {
  /**
   * The protection space (RFC 9110 section 11.5): '' = that of the gateway, else the base path of the view whose own it is. The
   * same subject is another principal in another one.
   */
  readonly realm: string;
  /** In the order in which the credential of a request is looked for; empty = every client is anonymous. */
  readonly providers: readonly AuthProvider[];
  /** Where the protected-resource metadata (RFC 9728) of another server is; `null` = the gateway serves it. */
  readonly resourceMetadata: string | null;
  /** Issuers that tokens come from, for the metadata. */
  readonly authorizationServers: readonly string[];
}

/** One provider; it takes credentials of one scheme. */
export type AuthProvider =
  | BearerProvider
  | ApiKeyProvider
  | BasicProvider
  | JwtProvider
  | IntrospectionProvider
  | ProxyHeaderProvider;

/** What a credential that the configuration names grants. */
export interface Grant {
  readonly subject: string;
  readonly scopes: readonly string[];
  readonly permissions: readonly string[];
  /** For logs and extensions; the gateway gives it no meaning. */
  readonly metadata: Readonly<Record<string, string>>;
}

interface Provider {
  /** What it takes (src/shared/scheme.ts). */
  readonly scheme: number;
  /** What the check of a credential may wait for, in words that name the key of the configuration; `null` = for nothing. */
  readonly waitsFor: string | null;
}

/** A fixed list of bearer tokens. */
export interface BearerProvider extends Provider {
  readonly type: 'bearer';
  readonly tokens: readonly (Grant & { readonly token: string })[];
}

/** A fixed list of keys in a header. */
export interface ApiKeyProvider extends Provider {
  readonly type: 'apiKey';
  /** Lower-case name. */
  readonly header: string;
  readonly tokens: readonly (Grant & { readonly token: string })[];
}

/** Users with passwords (RFC 7617). */
export interface BasicProvider extends Provider {
  readonly type: 'basic';
  /** `password` is plain, a PHC string of scrypt or a bcrypt hash. */
  readonly users: readonly (Grant & { readonly password: string })[];
  /** Passwords that wait for their check at once, over all workers; more are refused. */
  readonly maxWaiting: Count;
}

/** Signed tokens (RFC 7519) of one issuer. */
export interface JwtProvider extends Provider {
  readonly type: 'jwt';
  /** Accepted `alg` values; never `none`. */
  readonly algorithms: readonly string[];
  readonly secret: string | null;
  /** PEM text (SPKI or certificate) or JWK(S) JSON text. */
  readonly publicKey: string | null;
  readonly jwksUrl: string | null;
  /** Pause between two fetches for unknown key ids, and how long keys may serve. */
  readonly jwksCooldownMs: Milliseconds;
  readonly jwksMaxAgeMs: Milliseconds;
  readonly issuer: string | null;
  readonly audience: readonly string[];
  readonly clockToleranceSeconds: Seconds;
  /** false = `exp` is neither needed nor checked. */
  readonly verifyExpiry: boolean;
  /** Claim that names the subject; default `sub`. */
  readonly subjectClaim: string;
  /** Claims read for scopes, all that are present. */
  readonly scopeClaims: readonly string[];
  /** Claims read for permissions, all that are present. */
  readonly permissionClaims: readonly string[];
}

/** Opaque tokens that an authorization server is asked about (RFC 7662). */
export interface IntrospectionProvider extends Provider {
  readonly type: 'oauth2';
  readonly introspectionUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** `null` = an answer may name any issuer, or none. */
  readonly issuer: string | null;
  /** Empty = not checked. */
  readonly audience: readonly string[];
  /** The member of an answer that names the subject; `sub` = where there is none, `username`, then `client_id`. */
  readonly subjectClaim: string;
  readonly scopeClaims: readonly string[];
  readonly permissionClaims: readonly string[];
  /** How long an answer counts: one that a token is active (its `exp` at most), and one that it is not. */
  readonly cacheMs: Milliseconds;
  readonly negativeCacheMs: Milliseconds;
  readonly timeoutMs: Milliseconds;
  /** Requests to the endpoint at once; more tokens are refused for the moment. */
  readonly maxConcurrent: Count;
  /** Answers kept. */
  readonly maxTokens: Count;
}

/** Subject and scopes from headers that a proxy in front of the gateway sets. */
export interface ProxyHeaderProvider extends Provider {
  readonly type: 'proxyHeader';
  /** Lower-case names; `null` = none. */
  readonly subjectHeader: string;
  readonly scopesHeader: string | null;
  readonly permissionsHeader: string | null;
  /** Addresses and networks (`10.0.0.0/8`) of the proxies. */
  readonly trustedProxies: readonly string[];
}
