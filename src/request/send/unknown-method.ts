import type { Exchange } from '../exchange/index.js';

/**
 * The headers of a call whose method has no number: the method itself, which was checked to agree with the body, and
 * what the client sent besides.
 */
export function unknownMethodHeaders(exchange: Exchange, bytes: Uint8Array): readonly string[] {
  const { spans } = exchange.message;
  const method = Buffer.from(bytes.subarray(spans.methodStart, spans.methodEnd)).toString('latin1');
  return [...(exchange.message.paramHeaders ?? []), 'mcp-method', method];
}
