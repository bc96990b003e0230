/**
 * The gateway's `requestState`, which a client returns with its answers to a legacy upstream. It is sealed against forging
 * and bound to the caller and to the call (MCP 2026-07-28, multi round-trip requests, security).
 */
import { createHash, randomBytes } from 'node:crypto';
import { Flag } from '../../../native/layout.js';
import { parseValue } from '../../protocol/json-cursor.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { HandleSealer } from '../../session/handles.js';

/** How the gateway handles the retry. */
export const StateKind = {
  /** It continues a parked call. */
  parked: 1,
  /** It is a new call: the first one failed with -32042, because its user had to visit a URL. */
  again: 2,
} as const;

/** The content of a state. */
export interface RequestState {
  readonly kind: number;
  /** It was issued by this process. */
  readonly isOwn: boolean;
  /** Names the parked call; each is used once. 0 for {@link StateKind.again}. */
  readonly number: number;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  /** {@link callDigest} of the call that it was issued for. */
  readonly digest: Buffer;
}

const TAG_BYTES = 8;
const NUMBER_BYTES = 6;
const DIGEST_BYTES = 16;
const LENGTH = 1 + TAG_BYTES + 2 * NUMBER_BYTES + DIGEST_BYTES;
/** Longer arguments are compared byte by byte. */
const MAX_PARSED = 65_536;

/** Issues and opens states. Owned by ParkedCalls. */
export class RequestStates {
  readonly #sealer: HandleSealer;
  /** Identifies this process, which alone can continue its parked calls. */
  readonly #tag = randomBytes(TAG_BYTES);

  constructor(sealer: HandleSealer) {
    this.#sealer = sealer;
  }

  seal(kind: number, number: number, expires: number, digest: Buffer): string {
    const content = Buffer.alloc(LENGTH);
    content[0] = kind;
    this.#tag.copy(content, 1);
    let at = 1 + TAG_BYTES;
    at = content.writeUIntBE(number, at, NUMBER_BYTES);
    at = content.writeUIntBE(expires, at, NUMBER_BYTES);
    digest.copy(content, at, 0, DIGEST_BYTES);
    return this.#sealer.seal(content, false);
  }

  /** The content of a state; null when it is forged or was changed. */
  open(text: string): RequestState | null {
    const content = this.#sealer.open(text);
    if (content === null || content.length !== LENGTH) return null;
    const at = 1 + TAG_BYTES;
    return {
      kind: content.readUInt8(0),
      isOwn: content.subarray(1, at).equals(this.#tag),
      number: content.readUIntBE(at, NUMBER_BYTES),
      expires: content.readUIntBE(at + NUMBER_BYTES, NUMBER_BYTES),
      digest: content.subarray(at + 2 * NUMBER_BYTES),
    };
  }
}

/**
 * A digest of what a retry must have in common with its call: the subject, the method, the name and the arguments. The
 * order of the members of objects does not matter.
 *
 * @param bytes the message, `exchange.message.spans` is its scan; the call has been decided
 */
export function callDigest(exchange: Exchange, bytes: Uint8Array): Buffer {
  const { spans, decodedName } = exchange.message;
  const { verdict } = exchange;
  const hash = createHash('sha256');
  hash.update(new Uint8Array(verdict.subject.buffer));
  part(hash, range(bytes, spans.methodStart, spans.methodEnd));
  // URIs are compared as sent: two that policy normalizes to one may differ for the server.
  const isDecoded = decodedName.length > 0 && (spans.flags & Flag.nameIsUri) === 0;
  part(hash, isDecoded ? decodedName : range(bytes, spans.nameStart, spans.nameEnd));
  const args = range(bytes, spans.argumentsStart, spans.argumentsEnd);
  part(hash, args.length <= MAX_PARSED ? canonical(args) : args);
  return hash.digest().subarray(0, DIGEST_BYTES);
}

/** Hashes a part after its length, so that different lists of parts have different digests. */
function part(hash: ReturnType<typeof createHash>, bytes: Uint8Array): void {
  hash.update(`${bytes.length}:`).update(bytes);
}

function range(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return start < 0 ? new Uint8Array(0) : bytes.subarray(start, end);
}

function canonical(json: Uint8Array): Uint8Array {
  return json.length === 0 ? json : Buffer.from(JSON.stringify(sorted(parseValue(json, 0, json.length))));
}

/** A value with the members of each object as pairs in the order of their keys. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const pairs = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return { members: pairs.map(([key, member]) => [key, sorted(member)]) };
}
