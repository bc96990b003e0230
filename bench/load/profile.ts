import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

function place(url: string, line: number): string {
  if (url === '') return '';
  if (url.startsWith('node:')) return url;
  const parts = url.split(sep === '\\' ? /[\\/]/ : '/');
  return `${parts.slice(-3).join('/')}:${line + 1}`;
}

/** The functions with the most time of their own in one profile, as a Markdown table; idle time left out. */
function summarise(file: string, rows: number): string {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  const names = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName === '' ? '(anonymous)' : functionName} | ${place(url, lineNumber)}`,
    ]),
  );
  const own = new Map<string, number>();
  let busy = 0;
  let idle = 0;
  for (const [index, id] of profile.samples.entries()) {
    const name = names.get(id) ?? '(unknown)';
    const time = profile.timeDeltas[index] ?? 0;
    if (name.startsWith('(idle)')) {
      idle += time;
    } else {
      busy += time;
      own.set(name, (own.get(name) ?? 0) + time);
    }
  }
  const top = [...own].sort((a, b) => b[1] - a[1]).slice(0, rows);
  return [
    `busy ${(busy / 1e6).toFixed(2)} s, idle ${(idle / 1e6).toFixed(2)} s`,
    '',
    '| own time | function | where |',
    '| ---: | --- | --- |',
    ...top.map(([name, time]) => `| ${((time / busy) * 100).toFixed(1)} % | ${name} |`),
    '',
  ].join('\n');
}

/** Summaries of all CPU profiles (main thread and workers) that Node wrote into a folder. */
export function summariseProfiles(folder: string, rows = 40): string {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.cpuprofile'))
    .map((file) => `${file}: ${summarise(join(folder, file), rows)}`)
    .join('\n');
}
