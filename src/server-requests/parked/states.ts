/**
 * `requestState` of the gateway's own: what a client brings back when a legacy upstream waits for its answer. Sealed, so
 * that nobody else can make or change one, and bound to the caller and to the call (MCP 2026-07-28, multi round-trip
 * requests, security).
 */
import { createHash, randomBytes } from 'node:crypto';
import { Flag } from '../../../native/layout.js';
import { parseValue } from '../../protocol/json-cursor.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { HandleSealer } from '../../session/handles.js';

/** What becomes of the retry. */
export const StateKind = {
  /** It goes on with a parked call. */
  parked: 1,
  /** It is an ordinary call: the first one failed because something had to be done elsewhere before. */
  again: 2,
} as const;

/** What a state says. */
export interface RequestState {
  readonly kind: number;
  /** It was made by this process. */
  readonly isOwn: boolean;
  /** Names the parked call; each is used once. 0 for {@link StateKind.again}. */
  readonly number: number;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  /** {@link callDigest} of the call it was made for. */
  readonly digest: Buffer;
}

const TAG_BYTES = 8;
const NUMBER_BYTES = 6;
const DIGEST_BYTES = 16;
const LENGTH = 1 + TAG_BYTES + 2 * NUMBER_BYTES + DIGEST_BYTES;
/** Larger arguments are compared as they are spelled. */
const MAX_PARSED = 65_536;

/** Makes and reads states. */
export class RequestStates {
  readonly #sealer: HandleSealer;
  /** Parked calls live in one process; no other one can go on with them. */
  readonly #tag = randomBytes(TAG_BYTES);

  constructor(sealer: HandleSealer) {
    this.#sealer = sealer;
  }

  /** Whether a text looks like one of ours. */
  hasPrefix(text: string): boolean {
    return this.#sealer.hasPrefix(text);
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

  /** What a text says; null when it is none of ours, or was changed. */
  open(text: string): RequestState | null {
    const content = this.#sealer.open(text);
    if (content === null || content.length !== LENGTH) return null;
    const at = 1 + TAG_BYTES;
    return {
      kind: content[0]!,
      isOwn: content.subarray(1, at).equals(this.#tag),
      number: content.readUIntBE(at, NUMBER_BYTES),
      expires: content.readUIntBE(at + NUMBER_BYTES, NUMBER_BYTES),
      digest: content.subarray(at + 2 * NUMBER_BYTES),
    };
  }
}

/**
 * What a retry has to have in common with its call: the subject, the method, the name and the arguments. Arguments are
 * compared by what they mean: clients may write the members of an object in any order.
 *
 * @param bytes the message, `exchange.spans` is its scan; the call has been decided
 */
export function callDigest(exchange: Exchange, bytes: Uint8Array): Buffer {
  const { spans, decodedName } = exchange.message;
  const { verdict } = exchange;
  const hash = createHash('sha256');
  hash.update(new Uint8Array(verdict.subject.buffer));
  part(hash, range(bytes, spans.methodStart, spans.methodEnd));
  // A URI is in the message as it is sent; policy may take two for one that a server tells apart.
  const isDecoded = decodedName.length > 0 && (spans.flags & Flag.nameIsUri) === 0;
  part(hash, isDecoded ? decodedName : range(bytes, spans.nameStart, spans.nameEnd));
  const args = range(bytes, spans.argumentsStart, spans.argumentsEnd);
  part(hash, args.length <= MAX_PARSED ? meaning(args) : args);
  return hash.digest().subarray(0, DIGEST_BYTES);
}

/** Each part with its length, so that no two lists of parts look the same. */
function part(hash: ReturnType<typeof createHash>, bytes: Uint8Array): void {
  hash.update(`${bytes.length}:`).update(bytes);
}

function range(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return start < 0 ? new Uint8Array(0) : bytes.subarray(start, end);
}

function meaning(json: Uint8Array): Uint8Array {
  return json.length === 0 ? json : Buffer.from(JSON.stringify(sorted(parseValue(json, 0, json.length))));
}

/** A value with the members of each object as pairs in the order of their keys. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const pairs = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return { members: pairs.map(([key, member]) => [key, sorted(member)]) };
}
