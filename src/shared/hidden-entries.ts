/** Entries of one catalog version that are hidden from some clients. */
export class HiddenEntries {
  /** Differs from that of every other set of this front. */
  readonly number: number;
  readonly catalogVersion: number;
  /** Digest of {@link hidden}. */
  readonly low: number;
  readonly high: number;
  /** A bit for each entry of the catalog that is hidden. */
  readonly hidden: Uint8Array;

  constructor(number: number, catalogVersion: number, low: number, high: number, hidden: Uint8Array) {
    this.number = number;
    this.catalogVersion = catalogVersion;
    this.low = low;
    this.high = high;
    this.hidden = hidden;
  }

  hides(entry: number): boolean {
    return ((this.hidden[entry >>> 3] ?? 0) & (1 << (entry & 7))) !== 0;
  }
}
