/**
 * Authenticate: the principal of a request. The usual outcome is synchronous (no authentication, a credential that was verified
 * before, a table); only a new credential needs asynchronous verification.
 */
import type { AuthProvider, AuthSnapshot } from '../../src/config/snapshot/auth.js';
import { errorNumber } from '../../src/errors.js';
import { Counter, type Counters } from '../../src/shared/counters.js';
import { BasicUsers } from './basic.js';
import { Introspection } from './introspection.js';
import { JwtIssuer } from './jwt.js';
import { ANONYMOUS, type Principal } from './principal.js';
import { ProxyHeaders } from './proxy-header.js';
import { CredentialTable } from './table.js';
import {
  CredentialVerifier,
  type Judge,
  type ProviderContext,
  type Refused,
  type VerifierContext,
} from './verifier.js';

const UNAUTHENTICATED = errorNumber('GW_UNAUTHENTICATED');
const INVALID_TOKEN = errorNumber('GW_INVALID_TOKEN');

type ProviderTable = {
  readonly [Type in AuthProvider['type']]: (
    provider: Extract<AuthProvider, { type: Type }>,
    context: ProviderContext,
    isOnly: boolean,
  ) => CredentialTable | Judge;
};

/** One row for each type of provider. `isOnly`: no other one takes credentials of its scheme. */
const PROVIDERS: ProviderTable = {
  bearer: ({ type, tokens }, { realm }) => new CredentialTable(realm, type, tokens),
  apiKey: ({ type, tokens }, { realm }) => new CredentialTable(realm, type, tokens),
  basic: (provider, context) => new BasicUsers(provider, context),
  jwt: (provider, context, isOnly) => new JwtIssuer(provider, context, isOnly),
  oauth2: (provider, context) => new Introspection(provider, context),
  proxyHeader: (_, { realm }) => new ProxyHeaders(realm),
};

/** Outcome of {@link Authenticator.check}. */
export const Outcome = { pending: 0, known: 1, refused: 2 } as const;

/** Checks credentials against one `auth`. `principal` and `error` are the last outcome. One per worker and settings: authenticators.ts. */
export class Authenticator {
  principal: Principal = ANONYMOUS;
  /** Error number of a refusal. */
  error = -1;
  readonly #counters: Counters;
  /** By scheme; null = no provider takes it. */
  readonly #verifiers: readonly (CredentialVerifier | null)[];

  constructor({ providers, realm }: AuthSnapshot, context: VerifierContext) {
    this.#counters = context.counters;
    const schemes = Math.max(-1, ...providers.map(({ scheme }) => scheme)) + 1;
    this.#verifiers = Array.from({ length: schemes }, (_, scheme) =>
      verifierOf(
        providers.filter((provider) => provider.scheme === scheme),
        { ...context, realm },
      ),
    );
  }

  /**
   * Checks the credential `bytes[start, end)`.
   *
   * @param scheme what it is (src/shared/scheme.ts)
   * @param hasCredential whether one was presented; an empty one is invalid
   * @param seconds wall clock, seconds since the epoch
   * @param words the memory of `bytes` as words, if it lies on a boundary of four and so does `start`
   * @returns an {@link Outcome}; after `pending`, call {@link verify} with a copy of the credential
   */
  check(
    scheme: number,
    bytes: Buffer,
    start: number,
    end: number,
    hasCredential: boolean,
    seconds: number,
    words: Int32Array | null = null,
  ): number {
    const verifiers = this.#verifiers;
    if (verifiers.length === 0) {
      this.principal = ANONYMOUS;
      return Outcome.known;
    }
    if (!hasCredential) {
      this.error = UNAUTHENTICATED;
      return Outcome.refused;
    }
    const verifier = scheme < verifiers.length ? verifiers[scheme]! : null;
    const found = verifier === null ? INVALID_TOKEN : verifier.find(bytes, words, start, end, seconds);
    if (found === undefined) return Outcome.pending;
    if (typeof found === 'number') {
      this.error = found;
      this.#counters.add(Counter.tokensRejected);
      return Outcome.refused;
    }
    this.principal = found;
    return Outcome.known;
  }

  /** Verifies a credential after `pending`. Never rejects. */
  verify(scheme: number, credential: string): Promise<Principal | Refused> {
    return this.#verifiers[scheme]!.verify(credential);
  }

  /** Removes all remembered credentials. */
  forget(): void {
    for (const verifier of this.#verifiers) verifier?.forget();
  }
}

function verifierOf(providers: readonly AuthProvider[], context: ProviderContext): CredentialVerifier | null {
  if (providers.length === 0) return null;
  let table: CredentialTable | null = null;
  const judges: Judge[] = [];
  for (const provider of providers) {
    // The row of a type takes the settings of that type, which the compiler cannot see through the index.
    const create = PROVIDERS[provider.type] as (
      provider: AuthProvider,
      context: ProviderContext,
      isOnly: boolean,
    ) => CredentialTable | Judge;
    const made = create(provider, context, providers.length === 1);
    if (made instanceof CredentialTable) table = made;
    else judges.push(made);
  }
  return new CredentialVerifier(table, judges, context);
}
