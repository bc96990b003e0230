import type { KeyMessage } from '../../src/shared/ring/worker-messages.js';

/** Where a {@link KeySource} requests keys. */
export interface KeyRequests {
  /** Requests keys of a URL newer than `version`. The reply is a {@link KeyMessage}, also when there is nothing newer. */
  requestKeys(url: string, version: number): void;
}

/**
 * The keys of one issuer that a worker verifies tokens with. The front loads them once for the whole process; a worker that lacks
 * a key requests newer ones and gets a reply, whether or not there are any.
 */
export class KeySource {
  /** The newest key set as JSON text, or null when there is none that may be used. */
  jwks: string | null = null;
  /** 0 = none was ever loaded. */
  version = 0;
  readonly #url: string;
  readonly #requests: KeyRequests;
  #waiting: (() => void)[] = [];

  constructor(url: string, requests: KeyRequests) {
    this.#url = url;
    this.#requests = requests;
  }

  /** Handles a key set from the front. */
  receive(message: KeyMessage): void {
    this.jwks = message.jwks;
    this.version = message.version;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
  }

  /** Resolves when the front has replied; `version` and `jwks` may have changed then. */
  refresh(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.#requests.requestKeys(this.#url, this.version);
    });
  }
}

/** The keys of all issuers, by the URL that they are loaded from. One per worker. */
export class KeySources {
  readonly #requests: KeyRequests;
  readonly #sources = new Map<string, KeySource>();

  constructor(requests: KeyRequests, known: readonly KeyMessage[]) {
    this.#requests = requests;
    for (const message of known) this.receive(message);
  }

  /** The keys of a URL. */
  of(url: string): KeySource {
    let source = this.#sources.get(url);
    if (source === undefined) {
      source = new KeySource(url, this.#requests);
      this.#sources.set(url, source);
    }
    return source;
  }

  /** Handles a key set from the front. */
  receive(message: KeyMessage): void {
    this.of(message.url).receive(message);
  }

  /** Drops the keys of URLs that are not configured any more. */
  keep(urls: ReadonlySet<string>): void {
    for (const [url, source] of this.#sources) {
      if (urls.has(url)) continue;
      this.#sources.delete(url);
      // What waits for keys is judged again under the new configuration.
      source.receive({ type: 'keys', url, version: source.version, jwks: null });
    }
  }
}
