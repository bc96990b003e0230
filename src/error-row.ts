/** The rows of the table of errors (errors.ts). */

/** Where the fault lies. */
export type ErrorSource = 'client' | 'gateway' | 'upstream';

/** One row of the table. */
export interface ErrorRow {
  /** One sentence that a person can act on. `data.upstream` of an answer names the server where one is concerned. */
  readonly sentence: string;
  /** HTTP status on the MCP endpoint; 200 = in-band (docs/architecture.md, Errors). */
  readonly status: number;
  /** HTTP status of the REST bridge and the admin listener, which use HTTP semantics throughout. */
  readonly restStatus: number;
  /** JSON-RPC error code. */
  readonly rpc: number;
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean;
  readonly source: ErrorSource;
}

/** What a row says; the source is the function that makes it. */
interface ErrorColumns extends Omit<ErrorRow, 'source' | 'restStatus' | 'retryable'> {
  /** Default: `status`. */
  readonly restStatus?: number;
  /** Default false. */
  readonly retryable?: boolean;
}

function row(source: ErrorSource, { status, restStatus = status, rpc, retryable = false, sentence }: ErrorColumns) {
  return Object.freeze({ status, restStatus, rpc, retryable, source, sentence }) satisfies ErrorRow;
}

/** A row for a fault of the client. */
export const client = (columns: ErrorColumns): ErrorRow => row('client', columns);
/** A row for a fault of the gateway, or a limit of it. */
export const gateway = (columns: ErrorColumns): ErrorRow => row('gateway', columns);
/** A row for a fault of an upstream. */
export const upstream = (columns: ErrorColumns): ErrorRow => row('upstream', columns);
