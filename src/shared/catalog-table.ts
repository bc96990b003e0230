import type { Packed } from './packed.js';

/**
 * The part of the catalog that crosses to the workers: the name table. The control pool builds it from what upstreams list;
 * entry indexes are stable within one version. Everything that grows with the number of entries is shared memory, so handing
 * the table to a worker copies nothing.
 */
export interface CatalogTable extends NameTables {
  readonly version: number;
  /** Columns, one element an entry. */
  readonly kind: Uint8Array;
  readonly server: Int32Array;
  /** Names towards clients (tools and prompts), URIs (resources), URI templates (templates). UTF-8. */
  readonly publicNames: Packed;
  /** UTF-8. */
  readonly upstreamNames: Packed;
  /** Bits of {@link EntryFlag}. */
  readonly flags: Uint8Array;
  /** Servers whose lists are not known yet, by index: names under their prefix are forwarded unchecked. */
  readonly undiscovered: readonly number[];
  /** The names in each view of `Snapshot.views` but the first, whose are those of the table itself. */
  readonly views: readonly NameTables[];
  /** Resources and templates that an upstream does not list in normal form, by the spelling in its list. */
  readonly unusual: ByteTableMemory;
}

/** The names that lead to entries. */
export interface NameTables {
  /** Entries of each kind by public name; resources and templates by their normal form (src/protocol/uri.ts). */
  readonly byName: Readonly<Record<keyof typeof EntryKind, ByteTableMemory>>;
  /** Tools and prompts that are offered under a changed name, by the name they had without the change. */
  readonly byOriginal: { readonly tool: ByteTableMemory; readonly prompt: ByteTableMemory };
  /** Tools by `server:tool`. */
  readonly byAddress: ByteTableMemory;
}

/** A hash table over byte strings (src/shared/patterns/byte-table.ts), as it crosses between threads. */
export interface ByteTableMemory {
  readonly keys: Uint8Array;
  readonly slots: Int32Array;
  readonly seed: number;
}

export const EntryKind = { tool: 0, prompt: 1, resource: 2, template: 3 } as const;

export const EntryFlag = {
  readOnly: 1 << 0,
  idempotent: 1 << 1,
  destructive: 1 << 2,
  /** The tool's input schema has `x-mcp-header` annotations. */
  headerParams: 1 << 3,
  /** The tool runs only as a task (MCP 2025-11-25, `execution.taskSupport`). */
  needsTask: 1 << 4,
  /** A tool or prompt whose public name is not the upstream's with its prefix. */
  renamed: 1 << 5,
  /** A tool that is not as the lockfile says, and whose calls are refused (`catalog.pinning`). */
  unapproved: 1 << 6,
} as const;
