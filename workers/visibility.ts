import { createHash } from 'node:crypto';
import { Method } from '../native/layout.js';
import { EntryKind } from '../src/shared/catalog-table.js';
import type { Principal } from './authenticate/principal.js';
import type { Finder } from './find/index.js';
import type { Guard } from './guard/index.js';
import type { RequestRecord } from './request-record.js';

/** What is hidden from a principal. */
export interface Hidden {
  /** Digest of `entries`; both 0 = nothing is hidden. */
  readonly low: number;
  readonly high: number;
  /** A bit for each entry of the catalog. */
  readonly entries: Buffer;
}

const NOTHING: Hidden = { low: 0, high: 0, entries: Buffer.alloc(0) };
/** Outcomes that are kept for one principal: by view and request headers that rules read. */
const KEPT = 64;

/** Which entries of the catalog a principal may not call, and therefore does not see. One per worker, snapshot and catalog. */
export class Visibility {
  readonly #guard: Guard;
  readonly #known = new WeakMap<Principal, Map<number | string, Hidden>>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  /** What the view of `finder` hides from a principal. Judges each entry once for the same circumstances. */
  hiddenFrom(principal: Principal, request: RequestRecord, finder: Finder): Hidden {
    let known = this.#known.get(principal);
    if (known === undefined) {
      known = new Map();
      this.#known.set(principal, known);
    }
    const { attributesEnd, attributesStart, view } = request;
    // Without attributes no text is made.
    const key =
      attributesEnd === attributesStart
        ? view
        : `${view} ${request.bytes.toString('latin1', attributesStart, attributesEnd)}`;
    let hidden = known.get(key);
    if (hidden === undefined) {
      hidden = this.#judge(principal, request, finder);
      if (known.size >= KEPT) known.clear();
      known.set(key, hidden);
    }
    return hidden;
  }

  #judge(principal: Principal, request: RequestRecord, finder: Finder): Hidden {
    const guard = this.#guard;
    const { method } = request;
    const entries = Buffer.alloc((finder.entries + 7) >>> 3);
    let isAny = false;
    for (let entry = 0; entry < finder.entries; entry += 1) {
      request.method = callOf(finder.kindOf(entry));
      finder.begin(request, principal);
      finder.findEntry(entry);
      // Where arguments decide, some calls are permitted.
      if (guard.permits(principal, finder) || !guard.hides || finder.needsArguments) continue;
      isAny = true;
      entries[entry >>> 3]! |= 1 << (entry & 7);
    }
    request.method = method;
    if (!isAny) return NOTHING;
    const digest = createHash('sha256').update(entries).digest();
    // 0 stands for nothing.
    return { low: digest.readInt32LE(0) | 1, high: digest.readInt32LE(4), entries };
  }
}

/** The method by which an entry of a kind is called. */
function callOf(kind: number): number {
  if (kind === EntryKind.tool) return Method.toolsCall;
  return kind === EntryKind.prompt ? Method.promptsGet : Method.resourcesRead;
}
