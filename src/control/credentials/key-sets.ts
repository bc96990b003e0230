import type { AuthProvider } from '../../config/snapshot/auth.js';
import type { Counters } from '../../shared/counters.js';
import type { KeyMessage } from '../../shared/ring/worker-messages.js';
import type { KeyLoader } from '../threads/fetch-keys.js';
import { JwksCache, type KeyReceiver } from './jwks-cache.js';
import type { OutageLog } from './outage.js';

/** The key sets of all issuers, by the URL that they are loaded from. One per gateway. */
export class KeySets {
  readonly #caches = new Map<string, JwksCache>();
  readonly #counters: Counters;
  readonly #receiver: KeyReceiver;
  readonly #log: OutageLog;
  readonly #loader: KeyLoader | undefined;

  constructor(counters: Counters, receiver: KeyReceiver, log: OutageLog, loader?: KeyLoader) {
    this.#counters = counters;
    this.#receiver = receiver;
    this.#log = log;
    this.#loader = loader;
  }

  /** Uses the settings of a configuration; keys of URLs that it does not have are dropped. */
  configure(providers: readonly AuthProvider[]): void {
    const before = new Set(this.#caches.keys());
    for (const provider of providers) {
      if (provider.type !== 'jwt' || provider.jwksUrl === null) continue;
      const settings = { ...provider, jwksUrl: provider.jwksUrl };
      before.delete(settings.jwksUrl);
      const known = this.#caches.get(settings.jwksUrl);
      if (known !== undefined) known.configure(settings);
      else {
        const cache = new JwksCache(settings, this.#counters, this.#receiver, this.#log, this.#loader);
        this.#caches.set(settings.jwksUrl, cache);
      }
    }
    for (const url of before) {
      this.#caches.get(url)?.close();
      this.#caches.delete(url);
    }
  }

  /** The current keys, for a worker that starts. */
  current(): KeyMessage[] {
    return [...this.#caches.values()].map((cache) => cache.current());
  }

  /** A worker lacks a key; see {@link JwksCache.request}. Nothing is answered about a URL that is not configured any more. */
  async request(url: string, version: number): Promise<void> {
    await this.#caches.get(url)?.request(version);
  }

  /** Stops all timers. */
  close(): void {
    for (const cache of this.#caches.values()) cache.close();
    this.#caches.clear();
  }
}
