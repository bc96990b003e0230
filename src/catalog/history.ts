import { decodeString } from '../protocol/json-cursor.js';
import type { Exchange } from '../request/exchange/index.js';
import { packedText } from '../shared/packed.js';
import type { PreparedCatalog } from './prepared.js';
import { UnknownNames } from './unknown-name.js';

/** Catalog versions that the verdict of a call in flight may refer to. */
const KEPT = 4;

/** The newest catalogs by version: a call in flight uses the catalog that it was decided by. One per front. */
export class CatalogHistory {
  readonly #catalogs: PreparedCatalog[] = [];
  readonly #unknown = new UnknownNames();

  /** Adds the newest and drops the oldest beyond {@link KEPT}. */
  add(next: PreparedCatalog): void {
    this.#catalogs.unshift(next);
    this.#catalogs.length = Math.min(this.#catalogs.length, KEPT);
  }

  /** The catalog of that version; null when it was dropped. */
  find(version: number): PreparedCatalog | null {
    for (const catalog of this.#catalogs) if (catalog.version === version) return catalog;
    return null;
  }

  /**
   * The sentence about a tool or prompt that the newest catalog does not have. It proposes a name only where everyone may see all.
   *
   * @param kind a number of `EntryKind`
   * @param view position in `Snapshot.views`
   */
  unknownName(kind: number, name: string, view: number): string {
    const catalog = this.#catalogs[0] ?? null;
    return this.#unknown.sentence(view > 0 || catalog?.isRestricted === true ? null : catalog, kind, name);
  }

  /** The upstream name of the tool of a call in flight; empty when its catalog was dropped. */
  toolOf({ message: { body, bodyLength, spans }, verdict }: Exchange): string {
    if (verdict.entry >= 0) {
      const catalog = this.find(verdict.catalogVersion);
      return catalog === null ? '' : packedText(catalog.table.upstreamNames, verdict.entry);
    }
    if (bodyLength === 0) return '';
    return decodeString(body, spans.nameStart, spans.nameEnd).slice(verdict.stripBytes);
  }
}
