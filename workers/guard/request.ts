/** What the guard reads of a request record (workers/request-record.ts). */
export interface LimitedRequest {
  readonly bytes: Buffer;
  readonly addressStart: number;
  readonly addressEnd: number;
}
