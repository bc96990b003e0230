import type { Exchange } from '../../request/exchange/index.js';
import type { Count } from '../../units.js';

/** A call that waits for a connection. */
export interface QueuedCall {
  exchange: Exchange | null;
  bytes: Buffer;
  method: number;
  nameHeader: string;
  extraHeaders: readonly string[] | null;
}

const NO_BYTES = Buffer.alloc(0);

/** A bounded FIFO queue of calls, whose cells are reused. Owned by an endpoint. */
export class CallQueue {
  readonly #cells: QueuedCall[] = [];
  readonly #capacity: number;
  #head = 0;
  #used = 0;
  #waiting = 0;

  /** @param capacity most calls that wait; 0 = none */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Calls that wait. */
  get size(): number {
    return this.#waiting;
  }

  /** @returns false when the queue is full */
  push(
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): boolean {
    if (this.#used >= this.#capacity && !this.#compact()) return false;
    if (this.#used === this.#cells.length) this.#grow();
    const cell = this.#cell(this.#used);
    cell.exchange = exchange;
    cell.bytes = bytes;
    cell.method = method;
    cell.nameHeader = nameHeader;
    cell.extraHeaders = extraHeaders;
    this.#used += 1;
    this.#waiting += 1;
    return true;
  }

  /** The oldest call, or null. The cell is valid until the next `push`; its fields are cleared by {@link recycle}. */
  shift(): QueuedCall | null {
    while (this.#used > 0) {
      const cell = this.#cell(0);
      this.#head = (this.#head + 1) % this.#cells.length;
      this.#used -= 1;
      if (cell.exchange !== null) {
        this.#waiting -= 1;
        return cell;
      }
      recycle(cell);
    }
    return null;
  }

  /** Like {@link shift}, of one call; null = it is not in the queue. The cell is free again when it is recycled. */
  take(exchange: Exchange): QueuedCall | null {
    for (let offset = 0; offset < this.#used; offset += 1) {
      const cell = this.#cell(offset);
      if (cell.exchange !== exchange) continue;
      const taken = { ...cell };
      recycle(cell);
      this.#waiting -= 1;
      return taken;
    }
    return null;
  }

  /** Removes one call. @returns whether it was in the queue */
  remove(exchange: Exchange): boolean {
    for (let offset = 0; offset < this.#used; offset += 1) {
      const cell = this.#cell(offset);
      if (cell.exchange !== exchange) continue;
      recycle(cell);
      this.#waiting -= 1;
      return true;
    }
    return false;
  }

  /** Closes the gaps that {@link remove} left, which must not count against the capacity. */
  #compact(): boolean {
    if (this.#waiting === this.#used) return false;
    const cells = this.#cells;
    let kept = 0;
    for (let offset = 0; offset < this.#used; offset += 1) {
      const cell = this.#cell(offset);
      if (cell.exchange === null) continue;
      cells[(this.#head + offset) % cells.length] = this.#cell(kept);
      cells[(this.#head + kept) % cells.length] = cell;
      kept += 1;
    }
    this.#used = kept;
    return true;
  }

  /** @param offset from the head */
  #cell(offset: Count): QueuedCall {
    const cell = this.#cells[(this.#head + offset) % this.#cells.length];
    if (cell === undefined) throw new RangeError('the queue has no such cell');
    return cell;
  }

  #grow(): void {
    const length = Math.min(Math.max(8, this.#cells.length * 2), this.#capacity);
    const ordered = [...this.#cells.slice(this.#head), ...this.#cells.slice(0, this.#head)];
    this.#cells.length = 0;
    this.#cells.push(...ordered);
    this.#head = 0;
    while (this.#cells.length < length) {
      this.#cells.push({ exchange: null, bytes: NO_BYTES, method: 0, nameHeader: '', extraHeaders: null });
    }
  }
}

/** Clears a cell. */
export function recycle(cell: QueuedCall): void {
  cell.exchange = null;
  cell.bytes = NO_BYTES;
  cell.nameHeader = '';
  cell.extraHeaders = null;
}
