import { targetOf, ViewPaths } from '../../../src/request/accept/http/paths.js';
import { snapshotOf } from '../fixture.js';
import { type Case, keep } from '../runner.js';

/** @param views besides the first; requests come for each in turn, or for the first */
function pathCase(views: number): Case {
  return {
    name: `path of ${views} views`,
    what: `accept: a path to its endpoint, ${views === 0 ? 'no views' : `${views} views`}`,
    setup() {
      const paths = Array.from({ length: views }, (_, index) => `/teams/team-${index}/mcp`);
      const snapshot = snapshotOf({ views: Object.fromEntries(paths.map((path) => [path, {}])) });
      const { path: endpointPath, transports } = snapshot;
      const rules = { endpointPath, transports, views: new ViewPaths(snapshot.views) };
      const requested = views === 0 ? ['/mcp'] : paths;
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            const target = targetOf(requested[i % requested.length]!, '', rules);
            if (target === null || target.view > views) throw new Error('no view');
            keep(target.view);
          }
        },
      };
    },
  };
}

export const acceptCases: readonly Case[] = [pathCase(0), pathCase(3), pathCase(200)];
