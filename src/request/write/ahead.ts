/** Answers of exchanges that go on without their client: a parked call, or a call whose answer is for the cache alone. */
import { NO_LEVEL } from '../../protocol/levels.js';
import { Accepts, type Exchange, MessageFlag } from '../exchange/index.js';
import type { EventStreams } from './streams.js';

/** Sends what the composer holds as the whole answer. @param head of an answer that is no stream */
export function sendAhead(exchange: Exchange, streams: EventStreams, head: readonly string[]): void {
  const { client } = exchange;
  const { composer } = streams;
  if (client.streaming) {
    streams.sendLast(exchange);
    return;
  }
  client.status = 200;
  client.bytesOut += composer.length;
  client.reply!.send(200, streams.head(exchange, head), composer.bytes, 0, composer.length);
}

/** The request is answered: a cancellation that names it, or the end of its connection, is not about the call any more. */
export function detach({ client }: Exchange): void {
  client.reply = null;
  client.idLength = 0;
  client.link = null;
  client.streaming = false;
}

/** What comes of the call is for the cache: nobody can be asked or told anything for it. */
export function leaveToCache({ client, message }: Exchange): void {
  message.flags |= MessageFlag.refresh;
  client.session = null;
  client.batch = null;
  client.capabilities = 0;
  client.accepts = Accepts.json;
  client.progressLength = 0;
  client.logLevel = NO_LEVEL;
}
