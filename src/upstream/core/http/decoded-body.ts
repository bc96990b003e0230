import { pipeline, Readable, type Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { Coding } from './answer.js';

/** A body may be cut where a flush ended, as event streams are. */
const ZLIB = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH };
const BROTLI = { flush: constants.BROTLI_OPERATION_FLUSH, finishFlush: constants.BROTLI_OPERATION_FLUSH };

/**
 * Decodes a body that is compressed although `accept-encoding: identity` was sent. Chunks of the content are made as they are
 * read, so that a small body cannot fill the memory; its size is for the reader to bound.
 *
 * @param coding one of {@link Coding}
 * @throws when the coding is unknown or the bytes are not of it
 */
export async function* decodedBody(body: AsyncIterable<unknown>, coding: number): AsyncGenerator<Buffer> {
  const source = body[Symbol.asyncIterator]();
  let first = (await source.next()) as IteratorResult<Buffer>;
  while (first.done !== true && first.value.length === 0) first = (await source.next()) as IteratorResult<Buffer>;
  if (first.done === true) return;
  const decoder = decoderOf(coding, first.value);
  pipeline(Readable.from(withFirst(first.value, source)), decoder, () => {});
  try {
    for await (const chunk of decoder) yield chunk as Buffer;
  } finally {
    decoder.destroy();
  }
}

async function* withFirst(first: Buffer, rest: AsyncIterator<unknown>): AsyncGenerator<Buffer> {
  try {
    yield first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value as Buffer;
  } finally {
    await rest.return?.();
  }
}

function decoderOf(coding: number, first: Buffer): Transform {
  switch (coding) {
    case Coding.gzip:
      return createGunzip(ZLIB);
    case Coding.deflate:
      // Some servers leave out the zlib header (RFC 9110 section 8.4.1.2).
      return (first[0]! & 0x0f) === 0x08 ? createInflate(ZLIB) : createInflateRaw(ZLIB);
    case Coding.brotli:
      return createBrotliDecompress(BROTLI);
    default:
      throw new Error('the content coding is unknown');
  }
}
