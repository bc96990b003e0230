import { dirname } from 'node:path/posix';
import { importsOf, sourcesBelow } from './sources.js';

/**
 * The rooms of the house, floor by floor from the ground up. A room is a folder with its own files, without the folders in
 * it; a file directly in `src` is a room by itself. A room may use what lies on lower floors, and nothing else.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ['src/error-row.ts'],
  ['src/policy-errors.ts'],
  ['src/codes.ts', 'src/errors.ts', 'src/package-root.ts', 'src/secrets', 'src/units.ts'],
  ['native', 'src/config/schema', 'src/config/source'],
  ['src/config'],
  ['src/shared/limiters'],
  ['src/shared'],
  ['src/outbound', 'src/protocol', 'src/shared/patterns'],
  ['src/config/compile', 'src/request/exchange'],
  // The stages of a request, and what they and the upstreams stand on.
  [
    'src/request/accept/http',
    'src/request/decode',
    'src/request/dispatch',
    'src/request/overload',
    'src/request/send',
    'src/request/write',
    'workers/authenticate',
  ],
  ['src/session', 'src/upstream/balance', 'workers/find'],
  ['src/request/accept/connection', 'src/request/accept/rest', 'workers/cache', 'workers/guard', 'workers/rewrite'],
  ['src/request', 'src/request/accept/router', 'src/session/streams', 'src/upstream/core', 'workers'],
  ['src/explain', 'src/server-requests/parked'],
  ['src/catalog', 'src/server-requests', 'src/upstream/discovery'],
  ['src/request/accept/node', 'src/request/accept/uws', 'src/upstream/messages', 'src/upstream/subscriptions'],
  [
    'src/request/accept',
    'src/upstream/channel',
    'src/upstream/credentials',
    'src/upstream/http',
    'src/upstream/isolation',
  ],
  ['src/subscriptions', 'src/upstream/sse', 'src/upstream/stdio', 'src/upstream/websocket'],
  ['src/observe', 'src/upstream'],
  ['src/control/admin', 'src/control/threads'],
  ['src/control'],
  ['src/api'],
  ['src/cli', 'src/index.ts'],
];

/** One file of a room that uses a file of another, if only for its types. */
export interface Arrow {
  readonly file: string;
  readonly target: string;
}

/** The room of a file. */
export function roomOf(file: string): string {
  const folder = dirname(file);
  return folder === 'src' ? file : folder;
}

/** Everything that ships and is written in TypeScript. */
export function shippedSources(): string[] {
  return ['native', 'src', 'workers'].flatMap((folder) => sourcesBelow(folder, ['.ts', '.cts']));
}

/** All arrows from one room to another. */
export function arrowsBetweenRooms(): Arrow[] {
  return shippedSources().flatMap((file) =>
    importsOf(file)
      .filter(({ target }) => /^(native|src|workers)\//.test(target) && roomOf(target) !== roomOf(file))
      .map(({ target }) => ({ file, target })),
  );
}

/** What is wrong with arrows between rooms on such floors, a sentence each. A circle has at least one arrow that is wrong. */
export function wrongArrows(arrows: readonly Arrow[], floors: readonly (readonly string[])[]): string[] {
  const floorOf = (file: string): number => floors.findIndex((rooms) => rooms.includes(roomOf(file)));
  return arrows.flatMap(({ file, target }) => {
    const from = floorOf(file);
    const to = floorOf(target);
    if (from < 0 || to < 0) return [`${file} imports ${target}: ${roomOf(from < 0 ? file : target)} has no floor`];
    return to < from ? [] : [`${file} imports ${target}: it lies ${to === from ? 'on the same floor' : 'higher'}`];
  });
}
