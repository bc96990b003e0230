import { type SseListener, SseParser, type SseParserOptions } from '../../../protocol/sse-parser.js';
import type { BufferBudget } from '../../../shared/buffer-budget.js';
import type { Bytes } from '../../../units.js';
import { ReadShare, type ReadTurns } from '../limits/read-turns.js';

/** Receives the events of a response body. */
export interface EventSink extends SseListener {
  /** No further events are needed: the rest of the body is not read. */
  readonly isDone: boolean;
  /** There was no room for an event (`limits.maxBufferedBytes`); it is lost. */
  evicted(): void;
}

/** Limits of reading. */
export interface EventLimits {
  readonly maxEventBytes: Bytes;
  /** Passes the data of larger events on in parts; what there is no memory for too. */
  readonly parts?: SseParserOptions['parts'];
  /** Counts the bytes that are held of an event. */
  readonly budget: BufferBudget;
  readonly turns: ReadTurns;
}

/**
 * Reads the events of a response body in turns of the event loop, to its end or until the sink is done.
 *
 * @returns false when an event is larger than the limit
 * @throws whatever the body throws
 */
export async function readEvents(
  body: AsyncIterable<unknown>,
  sink: EventSink,
  { maxEventBytes, parts, budget, turns }: EventLimits,
): Promise<boolean> {
  const share = new ReadShare(turns);
  const evicted = (): void => {
    if (parser.passOn()) return;
    parser.discard();
    sink.evicted();
  };
  const parser = new SseParser(sink, {
    maxEventBytes,
    budget,
    share,
    evicted,
    ...(parts === undefined ? {} : { parts }),
  });
  let fits = true;
  const feed = (bytes: Buffer): number => {
    if (sink.isDone) return -1;
    fits = parser.feed(bytes);
    return fits && !sink.isDone ? parser.consumed : -1;
  };
  try {
    for await (const chunk of body) {
      if (sink.isDone) break;
      await share.read(chunk as Buffer, feed);
      if (!fits) return false;
      if (sink.isDone) break;
    }
    return true;
  } finally {
    parser.discard();
  }
}
