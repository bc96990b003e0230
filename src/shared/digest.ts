/** Whether two digests of 128 bits, four words each, are equal. */
export function sameDigest(a: Int32Array, b: Int32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}
