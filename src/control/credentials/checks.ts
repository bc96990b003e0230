import type { AuthSnapshot, IntrospectionProvider } from '../../config/snapshot/auth.js';
import type { Counters } from '../../shared/counters.js';
import type { Inquiry, InquiryAnswer } from '../../shared/ring/worker-messages.js';
import type { PasswordChecker } from '../threads/check-password.js';
import { Introspection } from './introspection.js';
import type { OutageLog } from './outage.js';
import { Passwords } from './passwords.js';

/** Answers the inquiries of workers about credentials. One per gateway. */
export class CredentialChecks {
  readonly #counters: Counters;
  readonly #log: OutageLog;
  readonly #passwords: Passwords;
  /** By {@link keyOf}. */
  #introspections = new Map<string, { readonly settings: IntrospectionProvider; readonly of: Introspection }>();

  constructor(checker: PasswordChecker, counters: Counters, log: OutageLog) {
    this.#counters = counters;
    this.#log = log;
    this.#passwords = new Passwords(checker);
  }

  /** Uses the settings of a configuration; answers under other settings are dropped. */
  configure(auths: readonly AuthSnapshot[]): void {
    const next = new Map<string, { settings: IntrospectionProvider; of: Introspection }>();
    for (const { providers, realm } of auths) {
      for (const settings of providers) {
        if (settings.type !== 'oauth2') continue;
        const key = keyOf(realm, settings.introspectionUrl);
        const known = this.#introspections.get(key);
        const isSame = known !== undefined && JSON.stringify(known.settings) === JSON.stringify(settings);
        next.set(key, isSame ? known : { settings, of: new Introspection(settings, this.#counters, this.#log) });
      }
    }
    this.#introspections = next;
  }

  /** Answers an inquiry. Never rejects. */
  answer(inquiry: Inquiry): Promise<InquiryAnswer> {
    if (inquiry.kind === 'password') return this.#passwords.ask(inquiry);
    const introspection = this.#introspections.get(keyOf(inquiry.realm, inquiry.url));
    return introspection === undefined
      ? Promise.resolve({ outcome: 'unavailable' })
      : introspection.of.ask(inquiry.token);
  }
}

/** One endpoint may be asked with other credentials in another realm. A realm is a path, so it has no space. */
function keyOf(realm: string, url: string): string {
  return `${realm} ${url}`;
}
