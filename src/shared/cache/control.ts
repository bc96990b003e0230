/** What an answer says in `Cache-Control` and `Age` about storing it (RFC 9111 sections 5.1 and 5.2.2, RFC 5861). */

const DIRECTIVE = /([!#$%&'*+.^_`|~0-9a-z-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,"]*)))?/gi;

/** The directives of a response that a shared cache acts on. */
export interface CacheDirectives {
  /** Milliseconds for which the answer is still fresh, its age taken off; -1 = not said, 0 = it must not be stored. */
  readonly freshMs: number;
  /** `stale-while-revalidate` and `stale-if-error`; -1 = not said, 0 = not at all. */
  readonly staleMs: number;
  readonly staleIfErrorMs: number;
  /** `private`: for one principal. */
  readonly isPrivate: boolean;
}

/**
 * Reads the value of `Cache-Control`.
 *
 * A time that is no number counts as 0 (RFC 9111 section 4.2.1), and of two times for the same the shorter one. `no-cache` allows only what is
 * validated at each use, which a POST cannot be, so it counts as `no-store`.
 *
 * @param age the value of `Age`, seconds
 * @param maxMs the longest time that counts, milliseconds
 */
export function parseCacheControl(value: string, age: number, maxMs: number): CacheDirectives {
  const seconds = new Map<string, number>();
  for (const [, name = '', quoted, plain] of value.matchAll(DIRECTIVE)) {
    const text = quoted ?? plain ?? '';
    const time = /^\d{1,10}$/.test(text) ? Number(text) : 0;
    const key = name.toLowerCase();
    seconds.set(key, Math.min(time, seconds.get(key) ?? Number.POSITIVE_INFINITY));
  }
  const milliseconds = (name: string): number => {
    const time = seconds.get(name);
    return time === undefined ? -1 : Math.min(time * 1_000, maxMs);
  };
  const isPrivate = seconds.has('private');
  if (seconds.has('no-store') || seconds.has('no-cache')) {
    return { freshMs: 0, staleMs: 0, staleIfErrorMs: 0, isPrivate };
  }
  const lifetime = seconds.has('s-maxage') ? milliseconds('s-maxage') : milliseconds('max-age');
  const mustValidate = ['must-revalidate', 'proxy-revalidate', 's-maxage'].some((name) => seconds.has(name));
  return {
    freshMs: lifetime < 0 ? -1 : Math.max(0, lifetime - age * 1_000),
    staleMs: mustValidate ? 0 : milliseconds('stale-while-revalidate'),
    staleIfErrorMs: mustValidate ? 0 : milliseconds('stale-if-error'),
    isPrivate,
  };
}
