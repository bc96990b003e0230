/** Request records as a front writes them, for tests of what reads them. */
import { Method } from '../../../native/layout.js';
import { REQUEST_HEAD, RequestFlag, RequestWord } from '../../../src/shared/ring/records.js';
import { RequestRecord } from '../../../workers/request-record.js';

export interface RecordFields {
  readonly method?: number;
  readonly name?: string;
  readonly address?: string;
  /** JSON text; with it the record is that of the second pass. */
  readonly arguments?: string;
  readonly attributes?: readonly string[];
  readonly view?: number;
}

/** A record in memory of its own, which is shared as that of a ring is. */
export function recordOf(fields: RecordFields): RequestRecord {
  const parts = ['', fields.name ?? '', fields.address ?? '127.0.0.1', fields.arguments ?? ''];
  parts.push((fields.attributes ?? []).join('\n'), '');
  const lengths = parts.map((part) => Buffer.byteLength(part));
  const size = REQUEST_HEAD * 4 + lengths.reduce((sum, length) => sum + ((length + 3) & ~3), 0);
  const memory = new SharedArrayBuffer(size);
  const words = new Int32Array(memory);
  const bytes = Buffer.from(memory);
  words[RequestWord.method] = fields.method ?? Method.toolsCall;
  words[RequestWord.flags] = fields.arguments === undefined ? 0 : RequestFlag.hasArguments;
  words[RequestWord.view] = fields.view ?? 0;
  const { tokenLength, nameLength, addressLength, argumentsLength, attributesLength, payloadLength } = RequestWord;
  const order = [tokenLength, nameLength, addressLength, argumentsLength, attributesLength, payloadLength];
  let at = REQUEST_HEAD * 4;
  parts.forEach((part, i) => {
    words[order[i]!] = lengths[i]!;
    bytes.write(part, at);
    at += (lengths[i]! + 3) & ~3;
  });
  const record = new RequestRecord();
  record.locate(words, 0, bytes);
  return record;
}
