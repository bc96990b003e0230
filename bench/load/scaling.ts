import { join } from 'node:path';
import { type Client, openClients } from './client.js';
import { type Course, type Measured, measureAll, type Row } from './measure.js';
import { type GatewayOptions, type Place, startGateway, startUpstream, type Target } from './targets.js';
import { writeRequests } from './wrk.js';

/** The gateway while one thing grows; the rows are named by how much of it there is. */
export interface Scaling {
  readonly title: string;
  /** What grows; heads the first column. */
  readonly what: string;
  readonly rows: readonly Measured[];
}

interface Growth {
  readonly title: string;
  readonly what: string;
  readonly steps: readonly number[];
  readonly connections: number;
  options(step: number): Pick<GatewayOptions, 'variant' | 'tools' | 'calledTools' | 'clients' | 'workers'>;
}

const GROWTHS: readonly Growth[] = [
  {
    title: 'Tools of the upstream, called in turn; all policy on, 32 connections',
    what: 'tools',
    steps: [10, 100, 1000, 10_000],
    connections: 32,
    options: (tools) => ({ variant: 'full', tools, calledTools: tools }),
  },
  {
    title: 'Clients in turn, each with its own token and session; all policy on, 32 connections',
    what: 'clients',
    steps: [10, 100, 1000, 10_000],
    connections: 32,
    options: (clients) => ({ variant: 'full', clients }),
  },
  {
    title: 'Policy workers; every verdict from a worker, 64 connections',
    what: 'workers',
    steps: [1, 2, 3, 4],
    connections: 64,
    options: (workers) => ({ variant: 'forced', workers }),
  },
];

/** Measures how the gateway's cost grows with tools, clients and workers. */
export async function measureScaling(place: Place, course: Course, selected: RegExp): Promise<Scaling[]> {
  const result: Scaling[] = [];
  for (const growth of GROWTHS) {
    if (!selected.test(`scaling ${growth.what}`)) continue;
    const rows: Row[] = [];
    const targets: Target[] = [];
    for (const step of growth.steps) {
      course.log(`starting the gateway with ${step} ${growth.what}`);
      const options = growth.options(step);
      const upstream = await startUpstream(place, options.tools ?? 10);
      targets.push(upstream);
      const target = await startGateway(place, { ...options, name: String(step), wire: 'http', upstream });
      targets.push(target);
      const clients: Client[] = await openClients(target, options.clients ?? growth.connections);
      const requests = join(place.scratch, `requests-${target.pid}`);
      writeRequests(requests, clients, target.tools);
      rows.push({ target, upstream, connections: growth.connections, clients, requests });
    }
    const measured = await measureAll(rows, course);
    for (const target of targets.reverse()) await target.stop();
    result.push({ title: growth.title, what: growth.what, rows: measured });
  }
  return result;
}
