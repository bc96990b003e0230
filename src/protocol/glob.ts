/**
 * The globs of configuration: `include`/`exclude` of servers and the patterns of routes and rate limits.
 *
 * `*` is any run of characters but `/`, `**` any run of characters, `?` one character but `/`; everything else stands
 * for itself (no classes, no braces, no escapes). A pattern compiles to a bit-parallel automaton (Baeza-Yates and
 * Gonnet, shift-and): one step a character whatever the pattern, so no text makes it slow.
 */

/** Tells whether a whole text matches. */
export type Matcher = (text: string) => boolean;

const SLASH = 0x2f;
const ANY_BUT_SLASH = -1;

/** What may be skipped at a place between two characters of the pattern. */
const Loop = { none: 0, segment: 1, any: 2 } as const;

/**
 * Compiles `pattern`. Time of a match is proportional to the length of the text (times one machine word for each 31
 * characters of the pattern); nothing is allocated.
 */
export function compileGlob(pattern: string): Matcher {
  const characters: number[] = [];
  const loops: number[] = [Loop.none];
  for (let at = 0; at < pattern.length; ) {
    const code = pattern.codePointAt(at)!;
    at += code > 0xffff ? 2 : 1;
    if (code === 0x2a) {
      const doubled = pattern.charCodeAt(at) === 0x2a;
      if (doubled) at += 1;
      const last = loops.length - 1;
      loops[last] = Math.max(loops[last], doubled ? Loop.any : Loop.segment);
    } else {
      characters.push(code === 0x3f ? ANY_BUT_SLASH : code);
      loops.push(Loop.none);
    }
  }
  if (loops.every((loop) => loop === Loop.none) && !characters.includes(ANY_BUT_SLASH)) {
    return (text) => text === pattern;
  }
  if (characters.length === 0) {
    return loops[0] === Loop.any ? () => true : (text) => !text.includes('/');
  }
  return automaton(characters, loops);
}

/** Matches when any of `patterns` does; no patterns match nothing. */
export function compileGlobs(patterns: readonly string[]): Matcher {
  const exact = new Set(patterns.filter((pattern) => !/[*?]/.test(pattern)));
  const matchers = patterns.filter((pattern) => !exact.has(pattern)).map(compileGlob);
  return (text) => {
    if (exact.has(text)) return true;
    for (let index = 0; index < matchers.length; index += 1) if (matchers[index](text)) return true;
    return false;
  };
}

/** 31 states a word keep every shift within the small integers of the engine. */
const WORD = 31;
const MASK = 0x7fffffff;

/** State i = the first i characters of the pattern are matched; it stays active over a character its loop allows. */
function automaton(characters: readonly number[], loops: readonly number[]): Matcher {
  const words = Math.ceil(loops.length / WORD);
  const anyLoop = new Int32Array(words);
  const segmentLoop = new Int32Array(words);
  const wild = new Int32Array(words);
  const none = new Int32Array(words);
  const byCharacter = new Map<number, Int32Array>();
  const bit = (set: Int32Array, state: number): void => {
    set[Math.floor(state / WORD)] |= 1 << (state % WORD);
  };
  loops.forEach((loop, state) => {
    if (loop === Loop.any) bit(anyLoop, state);
    if (loop !== Loop.none) bit(segmentLoop, state);
  });
  characters.forEach((code, state) => {
    if (code === ANY_BUT_SLASH) {
      bit(wild, state);
      return;
    }
    const set = byCharacter.get(code) ?? new Int32Array(words);
    byCharacter.set(code, set);
    bit(set, state);
  });
  const finalWord = words - 1;
  const finalBit = 1 << (characters.length % WORD);
  const active = new Int32Array(words);
  return (text) => {
    active.fill(0);
    active[0] = 1;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.codePointAt(at)!;
      if (code > 0xffff) at += 1;
      const set = byCharacter.get(code) ?? none;
      const slash = code === SLASH;
      const loop = slash ? anyLoop : segmentLoop;
      let carry = 0;
      let alive = 0;
      for (let word = 0; word < words; word += 1) {
        const now = active[word];
        const advanced = now & (slash ? set[word] : set[word] | wild[word]);
        const next = ((advanced << 1) & MASK) | carry | (now & loop[word]);
        carry = (advanced >>> (WORD - 1)) & 1;
        active[word] = next;
        alive |= next;
      }
      if (alive === 0) return false;
    }
    return (active[finalWord] & finalBit) !== 0;
  };
}
