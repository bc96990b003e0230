/**
 * A call that outlives the request it came with goes on with another request of the same client: a parked call with its
 * retry, a broken stream with the GET that resumes it.
 */
import type { Exchange } from './index.js';

/**
 * Moves the client of `from` to `to`, which has none. Afterwards `from` has no client; the caller releases it.
 */
export function handOver(from: Exchange, to: Exchange): void {
  const { client } = to;
  to.client = from.client;
  from.client = client;
  client.reply = null;
  to.client.reply?.rebind(to);
}

/**
 * Gives only the way to the client of `from` to `to`, a call whose stream `from` resumes: the call keeps its id, its
 * progress token and its times. Afterwards `from` has no Reply.
 */
export function handOverReply(from: Exchange, to: Exchange): void {
  const { reply, origin, remoteAddress } = from.client;
  from.client.reply = null;
  to.client.reply = reply;
  to.client.origin = origin;
  to.client.remoteAddress = remoteAddress;
  reply?.rebind(to);
}
