import { decodeString } from '../protocol/json-cursor.js';
import type { Exchange } from '../request/exchange/index.js';
import { packedText } from '../shared/packed.js';
import type { PreparedCatalog } from './prepared.js';

/** Catalog versions a verdict may still refer to while its call is on its way. */
const KEPT: number = 4;

/** The newest catalogs by version: a call in flight is read by the one that it was judged by. One per front. */
export class CatalogHistory {
  readonly #catalogs: PreparedCatalog[] = [];

  /** Takes the newest; the oldest beyond {@link KEPT} is dropped. */
  add(next: PreparedCatalog): void {
    this.#catalogs.unshift(next);
    this.#catalogs.length = Math.min(this.#catalogs.length, KEPT);
  }

  /** The catalog of that version while it is remembered, else null. */
  find(version: number): PreparedCatalog | null {
    for (const catalog of this.#catalogs) if (catalog.version === version) return catalog;
    return null;
  }

  /** What the server calls the tool of a call in flight; empty when it is not known any more. */
  toolOf({ message: { body, bodyLength, spans }, verdict }: Exchange): string {
    if (verdict.entry >= 0) {
      const catalog = this.find(verdict.catalogVersion);
      return catalog === null ? '' : packedText(catalog.table.upstreamNames, verdict.entry);
    }
    if (bodyLength === 0) return '';
    return decodeString(body, spans.nameStart, spans.nameEnd).slice(verdict.stripBytes);
  }
}
