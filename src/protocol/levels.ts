/** Log levels of the protocol (RFC 5424 severities), least severe first; the position is the level's number. */
export const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;

/** The number above all levels: no log messages. */
export const NO_LEVEL = 8;

const NAMES = LEVELS.map((level) => Buffer.from(`"${level}"`));

/** Number of the level whose raw JSON string token is `bytes[start, end)`, or -1. */
export function levelNumber(bytes: Uint8Array, start: number, end: number): number {
  for (let level = 0; level < NAMES.length; level += 1) {
    const name = NAMES[level];
    if (name === undefined || name.length !== end - start) continue;
    let index = 0;
    while (index < name.length && bytes[start + index] === name[index]) index += 1;
    if (index === name.length) return level;
  }
  return -1;
}
