/**
 * Word `at` of memory that holds records. The index has to lie within the memory: the layouts of the records say where their
 * words are, so nothing is checked here.
 */
export function wordAt(words: Int32Array, at: number): number {
  return words[at]!;
}

/** As {@link wordAt} for memory of 64-bit floats. */
export function floatAt(floats: Float64Array, at: number): number {
  return floats[at]!;
}

/** Whether two digests of 128 bits, four words each, are equal. */
export function sameDigest(a: Int32Array, b: Int32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}
