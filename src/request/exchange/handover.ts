/**
 * A call that outlives the request it came with goes on with another request of the same client: a parked call with its
 * retry, a broken stream with the GET that resumes it.
 */
import type { Exchange } from './index.js';

/**
 * Gives the client's side of `from` to `to`, which has none (any more): its Reply, id, progress token and wishes.
 * Afterwards `from` answers nobody; the caller gives it back to the table.
 */
export function handOver(from: Exchange, to: Exchange): void {
  const { reply } = from;
  to.reply = reply;
  from.reply = null;
  reply?.adopt(to);
  swap(from, to);
  to.idLength = from.idLength;
  to.progressLength = from.progressLength;
  to.accepts = from.accepts;
  to.framing = from.framing;
  to.headerless = from.headerless;
  to.link = from.link;
  to.origin = from.origin;
  to.peer = from.peer;
  to.startedAt = from.startedAt;
  to.bytesIn = from.bytesIn;
  to.logLevel = from.logLevel;
  to.streaming = from.streaming;
  to.status = from.status;
}

/**
 * Gives only the way to the client of `from` to `to`, a call whose stream `from` resumes: the call keeps its id, its
 * progress token and its times. `from` answers nobody afterwards.
 */
export function handOverReply(from: Exchange, to: Exchange): void {
  const { reply, remoteAddress } = from;
  to.reply = reply;
  from.reply = null;
  reply?.adopt(to);
  to.origin = from.origin;
  to.remoteAddress = remoteAddress;
}

/** The buffers change places, so that none is shared. */
function swap(from: Exchange, to: Exchange): void {
  const { id, progress } = to;
  to.id = from.id;
  to.progress = from.progress;
  from.id = id;
  from.progress = progress;
}
