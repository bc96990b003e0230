import { dirname } from 'node:path/posix';
import { importsOf, sourcesBelow } from './sources.js';

/**
 * The rooms of the house, floor by floor from the ground up. A room is a folder with its own files, without the folders in
 * it; a file directly in `src` is a room by itself. A room may use what lies on lower floors, and nothing else.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ['src/codes.ts', 'src/config/source', 'src/error-row.ts', 'src/package-root.ts', 'src/secrets', 'src/units.ts'],
  ['native', 'src/config/schema', 'src/outbound', 'src/policy-errors.ts', 'src/shared/cache'],
  ['src/config/snapshot', 'src/errors.ts', 'src/protocol/names'],
  ['src/config', 'src/shared', 'src/shared/limiters', 'src/upstream/core/limits'],
  ['src/catalog/pinning', 'src/cli/console', 'src/protocol', 'src/shared/limits', 'src/shared/patterns'],
  ['src/catalog/items', 'src/config/compile', 'src/config/reference', 'src/shared/ring', 'src/upstream/core/lists'],
  ['src/request/exchange', 'workers/authenticate', 'workers/cache'],
  // The stages of a request, and what they and the upstreams stand on.
  [
    'src/request/accept/http',
    'src/request/decode',
    'src/request/dispatch',
    'src/request/overload',
    'src/request/send',
    'src/request/write',
    'src/upstream/balance',
    'workers/find',
  ],
  [
    'src/request',
    'src/request/accept/connection',
    'src/request/accept/rest',
    'src/session',
    'src/upstream/core',
    'workers/guard',
    'workers/rewrite',
  ],
  [
    'src/catalog',
    'src/request/accept/router',
    'src/server-requests/parked',
    'src/session/streams',
    'src/upstream/core/http',
    'src/upstream/credentials',
    'src/upstream/discovery',
    'src/upstream/messages',
    'workers',
  ],
  [
    'src/explain',
    'src/request/accept/node',
    'src/request/accept/uws',
    'src/server-requests',
    'src/upstream/channel',
    'src/upstream/http/wire',
    'src/upstream/subscriptions',
  ],
  ['src/request/accept', 'src/upstream/http', 'src/upstream/isolation', 'src/upstream/stdio', 'src/upstream/websocket'],
  ['src/cli/files', 'src/observe', 'src/subscriptions', 'src/upstream/sse'],
  ['src/control/admin', 'src/control/threads', 'src/upstream'],
  ['src/control/credentials', 'src/control/upstreams'],
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
