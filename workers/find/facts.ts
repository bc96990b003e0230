/** What routes read of a call besides its name and its principal: the request record. */
export interface CallFacts {
  /** Id of the method (native/layout.ts) or Operation. */
  readonly method: number;
  /** The memory of the byte fields. */
  readonly bytes: Buffer;
  /** Position in `Snapshot.views`. */
  readonly view: number;
  readonly addressStart: number;
  readonly addressEnd: number;
  readonly argumentsStart: number;
  readonly argumentsEnd: number;
  /** The value that {@link findAttribute} found is `bytes[valueStart, valueEnd)`. */
  readonly valueStart: number;
  readonly valueEnd: number;
  /** Finds the value of a request header by its position in `Snapshot.attributes`; false = it was not sent, or is empty. */
  findAttribute(position: number): boolean;
  /** Whether a RequestFlag is set. */
  has(flag: number): boolean;
}
