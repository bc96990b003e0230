/**
 * Remembered verdicts: an open-addressed table in typed arrays, keyed by (client, address, view, attributes, method and family, name). The name's
 * bytes are compared exactly. An entry counts only under the stamp (src/shared/epochs.ts) it was made in, so one
 * atomic read tells whether anything was reconfigured, rediscovered or revoked since.
 */

import { VERDICT_HEAD } from '../../shared/ring/records.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';

const NO_BYTES = new Uint8Array(0);
const WINDOW = 4;
/** Longer names are not remembered. */
const NAME_BYTES = 128;
/** Words of a key: client, method, two of the name's hash, its length, the stamp, view, attributes, address. */
const KEY_WORDS = 9;

/** What a verdict is remembered under. Filled and reused by the caller. */
export class MemoKey {
  /** Number of the token or the address (token-slots.ts). */
  client = 0;
  /** Method and everything else that the decision depends on. */
  method = 0;
  /** Position of the view. */
  view = 0;
  /** Number of the values of the request headers that policy reads; 0 = none. */
  attributes = 0;
  /** Number of the address where the decision depends on it besides `client`; else 0. */
  address = 0;
  /** Hash of the name. */
  hashLow = 0;
  hashHigh = 0;
  /** The name is `bytes[start, end)`. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  /** `Epochs.stamp` of the moment. */
  stamp = 0;
}

/** See the file comment. */
export class Memo {
  readonly #mask: number;
  readonly #keys: Int32Array;
  readonly #verdicts: Int32Array;
  readonly #names: Uint8Array;
  #victim = 0;
  #used = 0;

  /** @param capacity verdicts remembered; rounded up to a power of two, at least 16 */
  constructor(capacity: number) {
    let size = 16;
    while (size < capacity) size *= 2;
    this.#mask = size - 1;
    this.#keys = new Int32Array(size * KEY_WORDS);
    this.#verdicts = new Int32Array(size * VERDICT_HEAD);
    this.#names = new Uint8Array(size * NAME_BYTES);
  }

  /** Places of the table that hold a verdict, outdated ones included. */
  get used(): number {
    return this.#used;
  }

  /** Copies the verdict remembered for a key into `verdict`. The caller looks at its `rememberUntil`. */
  lookup(key: MemoKey, verdict: VerdictRecord): boolean {
    const { client, method, view, attributes, address, hashLow, hashHigh, bytes, start, end, stamp } = key;
    const keys = this.#keys;
    const home = slotOf(key);
    for (let i = 0; i < WINDOW; i += 1) {
      const slot = (home + i) & this.#mask;
      const at = slot * KEY_WORDS;
      if (
        keys[at] !== client ||
        keys[at + 1] !== method ||
        keys[at + 2] !== hashLow ||
        keys[at + 3] !== hashHigh ||
        keys[at + 4] !== end - start ||
        keys[at + 5] !== stamp ||
        keys[at + 6] !== view ||
        keys[at + 7] !== attributes ||
        keys[at + 8] !== address
      ) {
        continue;
      }
      if (!this.#sameName(slot, bytes, start, end)) continue;
      verdict.read(this.#verdicts, slot * VERDICT_HEAD);
      return true;
    }
    return false;
  }

  /** Remembers `verdict` under a key. Names that are too long are left out. */
  remember(key: MemoKey, verdict: VerdictRecord): void {
    const { client, method, view, attributes, address, hashLow, hashHigh, bytes, start, end, stamp } = key;
    if (end - start > NAME_BYTES) return;
    const keys = this.#keys;
    const home = slotOf(key);
    let chosen = -1;
    for (let i = 0; i < WINDOW; i += 1) {
      const slot = (home + i) & this.#mask;
      const at = slot * KEY_WORDS;
      const same =
        keys[at] === client &&
        keys[at + 1] === method &&
        keys[at + 2] === hashLow &&
        keys[at + 3] === hashHigh &&
        keys[at + 6] === view &&
        keys[at + 7] === attributes &&
        keys[at + 8] === address;
      if (same && keys[at + 4] === end - start && this.#sameName(slot, bytes, start, end)) {
        chosen = slot;
        break;
      }
      if (chosen < 0 && (keys[at] === 0 || keys[at + 5] !== stamp)) chosen = slot;
    }
    if (chosen < 0) {
      this.#victim = (this.#victim + 1) & (WINDOW - 1);
      chosen = (home + this.#victim) & this.#mask;
    }
    const at = chosen * KEY_WORDS;
    if (keys[at] === 0) this.#used += 1;
    keys[at] = client;
    keys[at + 1] = method;
    keys[at + 2] = hashLow;
    keys[at + 3] = hashHigh;
    keys[at + 4] = end - start;
    keys[at + 5] = stamp;
    keys[at + 6] = view;
    keys[at + 7] = attributes;
    keys[at + 8] = address;
    for (let i = start, to = chosen * NAME_BYTES; i < end; i += 1, to += 1) this.#names[to] = bytes[i]!;
    verdict.write(this.#verdicts, chosen * VERDICT_HEAD);
  }

  #sameName(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    const names = this.#names;
    for (let i = start, at = slot * NAME_BYTES; i < end; i += 1, at += 1) if (names[at] !== bytes[i]) return false;
    return true;
  }
}

function slotOf({ client, method, view, attributes, hashLow, hashHigh }: MemoKey): number {
  const origin = Math.imul(client, 0x9e3779b1) ^ Math.imul(attributes ^ (view << 24), 0xc2b2ae35);
  return hashLow ^ Math.imul(hashHigh, 0x85ebca6b) ^ origin ^ Math.imul(method, 0x27d4eb2f);
}
