/**
 * Memory by which the overload guard has requests refused as soon as they are read from a connection, before a parser or
 * JavaScript gets them (early-refusals.h). Only the guard writes to it, besides the counts. Without the addon, on node:http
 * and for requests that do not come in one read nothing is refused there: they are judged when they are decoded.
 */
import { METHODS } from './layout.js';

/** Slots of {@link EarlyRefusals.control}. */
const Control = { episode: 0, maxDepth: 1, maxBody: 2, headEnd: 3, openEnd: 4, restEnd: 5 } as const;
/** Bytes of an answer without the id; early-refusals.h has room for so many. */
const MAX_ANSWER = 1_024;

/** Of all overloads of the process, since what is known of a connection is only good for one of them. */
let episodes = 0;

/** What an answer consists of. */
export interface EarlyAnswer {
  /** Status line and fields, each line with its end, without Content-Length. */
  readonly head: string;
  /** The body in front of the id of the request, and behind it. */
  readonly open: string;
  readonly rest: string;
}

/** See the file comment. One per gateway. */
export class EarlyRefusals {
  readonly control = new Int32Array(6);
  /** By method, its position in the order; -1 = it is not refused here. */
  readonly positions = new Int8Array(METHODS.length).fill(-1);
  /** By position in the order: requests that came, and those of them that were not refused. */
  readonly arrivals: Int32Array;
  readonly admitted: Int32Array;
  /** The part of a refusal that is due, and the part of what comes that is refused, 0 to 1. */
  readonly due: Float64Array;
  readonly shares: Float64Array;
  /** For how long a turn of the event loop admits requests, in milliseconds of processor time. */
  readonly budgets: Float64Array;
  /** By method: requests that were refused here, and are not counted yet. */
  readonly refused = new Int32Array(METHODS.length);
  readonly answer = Buffer.alloc(MAX_ANSWER);
  #isClosed = false;

  /** @param kinds positions in the order at most */
  constructor(kinds: number) {
    this.arrivals = new Int32Array(kinds);
    this.admitted = new Int32Array(kinds);
    this.budgets = new Float64Array(kinds);
    this.due = new Float64Array(kinds);
    this.shares = new Float64Array(kinds);
  }

  /** Sets the answer. @throws RangeError when it is longer than {@link MAX_ANSWER} bytes */
  setAnswer({ head, open, rest }: EarlyAnswer): void {
    const { answer, control } = this;
    const parts = [`${head}content-length: `, `\r\n\r\n${open}`, rest];
    const bytes = Buffer.from(parts.join(''));
    if (bytes.length > MAX_ANSWER) throw new RangeError(`an early answer of ${bytes.length} bytes`);
    bytes.copy(answer);
    control[Control.headEnd] = Buffer.byteLength(parts[0]!);
    control[Control.openEnd] = control[Control.headEnd]! + Buffer.byteLength(parts[1]!);
    control[Control.restEnd] = bytes.length;
  }

  /** Begins to refuse. @param maxDepth, maxBodyBytes of messages; others take the usual way */
  begin(maxDepth: number, maxBodyBytes: number): void {
    if (this.isActive || this.#isClosed) return;
    episodes = (episodes % 0x7fff_fffe) + 1;
    this.control[Control.maxDepth] = maxDepth;
    this.control[Control.maxBody] = maxBodyBytes;
    this.control[Control.episode] = episodes;
  }

  end(): void {
    this.control[Control.episode] = 0;
  }

  /** Refuses nothing any more: the gateway is being drained, and its answers end their connections. */
  close(): void {
    this.#isClosed = true;
    this.end();
  }

  get isActive(): boolean {
    return this.control[Control.episode] !== 0;
  }
}
