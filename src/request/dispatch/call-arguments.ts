import type { Decoder } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { isSpace, skipSpace } from '../../protocol/json-cursor.js';
import type { Exchange } from '../exchange/index.js';

const QUOTE = 0x22;
const COMMA = 0x2c;
/** Growth of the memory for arguments, and its size at the start. */
const LEAST_BYTES = 4_096;

/**
 * The arguments of a call whose answer may be in the response cache, in canonical form (native/canonical.ts), and their hash. One per
 * dispatcher; valid until the next `read`.
 */
export class CallArguments {
  /** The form is `bytes[0, length)`; 0 = the call has no arguments. */
  bytes: Uint8Array = new Uint8Array(LEAST_BYTES);
  length = 0;
  /** Two lanes of the hash of the form. */
  readonly hash = new Int32Array(2);
  readonly #decoder: Decoder;

  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  /** Reads the arguments of an exchange that owns its body. @returns false when they have no canonical form */
  read(exchange: Exchange): boolean {
    const { body, spans } = exchange.message;
    const { argumentsStart: start, argumentsEnd: end } = spans;
    this.length = 0;
    this.hash.fill(0);
    if (start < 0) return true;
    if (end - start > this.bytes.length) this.bytes = new Uint8Array(2 * (end - start));
    this.length = this.#decoder.canonical(body, start, end, this.bytes);
    if (this.length < 0) return false;
    this.#decoder.hash(this.bytes, 0, this.length, this.hash);
    return true;
  }

  /** The number by which a worker is chosen. Calls without arguments, as reads of resources, are told apart by their names. */
  spread({ message: { spans } }: Exchange): number {
    return (this.hash[0]! ^ spans.nameHashLow) >>> 0;
  }
}

/**
 * Whether the params of a call have members besides its name, arguments and `_meta`. They may change the answer (a `task`, members of
 * extensions), so such a call is not looked up in the cache.
 *
 * @param bytes the body that `spans` is the scan of
 */
export function hasFurtherParams(bytes: Uint8Array, spans: Spans): boolean {
  if (spans.paramsStart < 0) return false;
  const end = spans.paramsEnd - 1;
  let at = skipSpace(bytes, spans.paramsStart + 1);
  while (at < end) {
    // The scan has found the members that are known, none of them spelled with escapes: a name ends at the next quote, or is unknown.
    at = bytes.indexOf(QUOTE, at + 1) + 1;
    while (at < end && (isSpace(bytes[at]!) || bytes[at] === 0x3a)) at += 1;
    if (at === spans.argumentsStart) at = spans.argumentsEnd;
    else if (at === spans.metaStart) at = spans.metaEnd;
    else if (at === spans.nameStart - 1) at = spans.nameEnd + 1;
    else return true;
    at = skipSpace(bytes, at);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
  return false;
}
