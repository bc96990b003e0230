const addresses = new Map<number, string>();
const MAX_ADDRESSES = 4096;

/** A binary IP address (4 or 16 bytes) as text. IPv4 texts are cached: most peers send many requests. */
export function addressText(bytes: Buffer): string {
  if (bytes.byteLength !== 4) return ipv6(bytes);
  const key = bytes.readUInt32BE(0);
  let text = addresses.get(key);
  if (text === undefined) {
    text = bytes.join('.');
    if (addresses.size >= MAX_ADDRESSES) addresses.clear();
    addresses.set(key, text);
  }
  return text;
}

function ipv6(bytes: Buffer): string {
  if (bytes.byteLength !== 16) return '';
  if (bytes.readUIntBE(0, 6) === 0 && bytes.readUInt32BE(6) === 0 && bytes.readUInt16BE(10) === 0xffff) {
    return bytes.subarray(12).join('.');
  }
  const words: string[] = [];
  for (let at = 0; at < 16; at += 2) words.push(bytes.readUInt16BE(at).toString(16));
  return words.join(':');
}
