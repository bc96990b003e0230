/** Sizes and contents that both sides of the ring test compute for themselves. */
function mix(a: number, b: number): number {
  let value = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  value ^= value >>> 13;
  value = Math.imul(value, 0xc2b2ae35);
  return (value ^ (value >>> 16)) | 0;
}

/** Mostly small, sometimes none, sometimes as large as can be. */
export function recordSize(seed: number, number: number, max: number): number {
  const roll = mix(seed, number) >>> 0;
  if (roll % 50 === 0) return max;
  if (roll % 17 === 0) return 0;
  return roll % 60;
}

export function wordOf(seed: number, number: number, index: number): number {
  return mix(mix(seed, number), index);
}
