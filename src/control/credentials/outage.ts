/** Where outages are logged. */
export interface OutageLog {
  warn(sentence: string): void;
}

/** Logs that an endpoint of an authorization server cannot be used, and that it can be used again, each once. One per endpoint. */
export class Outage {
  readonly #what: string;
  readonly #log: OutageLog;
  #isDown = false;

  /** @param what what the endpoint gives. @param url its address; the query is not shown */
  constructor(what: string, url: string, log: OutageLog) {
    const { origin, pathname } = new URL(url);
    this.#what = `${what} ${origin}${pathname}`;
    this.#log = log;
  }

  /** A request failed. @param meanwhile what that means for clients */
  failed(error: unknown, meanwhile: string): void {
    if (this.#isDown) return;
    this.#isDown = true;
    // Connections to all addresses of a host that failed are an error without a message.
    const why = (error instanceof Error && error.message) || 'no connection';
    this.#log.warn(`auth: ${this.#what} cannot be used, and ${meanwhile}: ${why}`);
  }

  /** A request succeeded. */
  ended(): void {
    if (this.#isDown) this.#log.warn(`auth: ${this.#what} can be used again`);
    this.#isDown = false;
  }
}
