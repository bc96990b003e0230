/** Where errors go that no stage should throw: one line of the log each. */
export interface FaultLog {
  fault(error: unknown): void;
}
