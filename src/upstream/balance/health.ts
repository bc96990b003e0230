/** Keeps what is known of the health of endpoints; the numbers are shown in /stats. */
export interface HealthBoard {
  succeeded(endpoint: number): void;
  failed(endpoint: number): void;
  /** Failures since the last success. */
  consecutiveFailures(endpoint: number): number;
}

/** A health board in the memory of one process. */
export class LocalHealthBoard implements HealthBoard {
  readonly #failures: Int32Array;

  constructor(endpoints: number) {
    this.#failures = new Int32Array(endpoints);
  }

  succeeded(endpoint: number): void {
    this.#failures[endpoint] = 0;
  }

  failed(endpoint: number): void {
    this.#failures[endpoint]! += 1;
  }

  consecutiveFailures(endpoint: number): number {
    return this.#failures[endpoint]!;
  }
}
