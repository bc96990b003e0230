/** Edit distance with transpositions (optimal string alignment) of two short words. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      current.push(best);
    }
    before = previous;
    previous = current;
  }
  return previous[b.length]!;
}

const plain = (word: string): string => word.toLowerCase().replace(/[_\-\s]/g, '');

/** The known word that is nearest to `word`, or null when none is near. Case, `_` and `-` do not count. */
export function nearest(word: string, known: Iterable<string>): string | null {
  if (word.length > 64) return null;
  const written = plain(word);
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(written.length / 3)) + 1;
  for (const candidate of known) {
    const target = plain(candidate);
    if (Math.abs(target.length - written.length) >= bestDistance) continue;
    const found = distance(written, target);
    // A distance of two is too far for words of three letters.
    if (found < bestDistance && found < target.length) {
      best = candidate;
      bestDistance = found;
    }
  }
  return best;
}
