import type { Decoder } from '../../../native/layout.js';
import type { PolicyPool } from '../../shared/ring/policy-pool.js';
import type { Count } from '../../units.js';
import type { Exchange } from '../exchange/index.js';
import type { ExchangeTable } from '../exchange/table.js';

/** Takes verdicts: the pipeline. */
export interface DecidedExchanges {
  /**
   * The verdict is in `exchange.verdict`. `bytes` are the caller's (remembered verdict) or the exchange's own.
   *
   * @param payload scopes or detail of a denial, or an answer of the cache; valid during the call
   */
  decided(exchange: Exchange, bytes: Uint8Array, length: number, payload: Buffer): void;
}

/** What dispatch works with. */
export interface DispatcherOptions {
  readonly table: ExchangeTable;
  readonly pool: PolicyPool;
  readonly decoder: Decoder;
  /** Exchanges that may wait for room on each ring; default 1,024. More are answered GW_OVERLOADED. */
  readonly maxQueue?: Count;
  /** `false` asks a worker every time; default: unless the environment has `SWITCHYARD_MEMO=off`. */
  readonly memo?: boolean;
}
