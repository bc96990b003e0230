/**
 * Which pass of a decision is under way; a cacheable call needs a second one, and so does one with rules about its arguments. Without
 * the cache it comes with them (`uncached`) or, where they cannot be read, without them.
 */
export const Pass = { none: 0, first: 1, withArguments: 2, withoutCache: 3, uncached: 4 } as const;

/** Whether the worker gets the arguments, for the cache or for rules that read them. */
export function hasArguments(pass: number): boolean {
  return pass === Pass.withArguments || pass === Pass.uncached;
}

/** The pass that follows the first one. @param isTooLarge the arguments @param hasFurtherParams which the cache does not compare */
export function passWith(isTooLarge: boolean, hasFurtherParams: boolean): number {
  if (isTooLarge) return Pass.withoutCache;
  return hasFurtherParams ? Pass.uncached : Pass.withArguments;
}
