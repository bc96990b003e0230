import type { Logger } from 'pino';
import { isTombstone } from '../../config/numbering.js';
import type { Count, Milliseconds } from '../../units.js';
import type { Discovery } from '../../upstream/core/types.js';
import type { ServerHealth } from '../../upstream/endpoint-choice.js';

/** One server, as the summary shows it. */
export interface SummaryServer {
  readonly name: string;
  readonly endpoints: readonly object[];
  readonly health: Pick<ServerHealth, 'isHealthy' | 'fault'>;
  readonly discovery: Discovery | null;
}

/** What the summary reads. */
export interface SummarySources {
  readonly upstreams: { readonly servers: readonly SummaryServer[] };
  /** The tools that clients are offered, by server. */
  readonly catalog: { readonly current: { readonly offered: readonly (readonly [Count, Count, Count, Count])[] } };
}

/** Changes within this time are one line: a server that starts becomes ready first and is listed a moment later. */
const COALESCE_MS: Milliseconds = 250;
/** Longest pause between two lines while the state goes on changing. */
const MAX_PAUSE_MS: Milliseconds = 60_000;
/** Servers named in a line. */
const NAMED: Count = 20;

/**
 * Logs in one line how many servers are ready, and why the others are not: after the start, and when that has changed. The
 * gateway and the reports of upstreams call it; one per gateway.
 */
export class UpstreamSummary {
  readonly #sources: SummarySources;
  readonly #logger: Logger;
  #last: string | null = null;
  #lastAt: Milliseconds = 0;
  #pauseMs = COALESCE_MS;
  #timer: NodeJS.Timeout | null = null;

  constructor(sources: SummarySources, logger: Logger) {
    this.#sources = sources;
    this.#logger = logger;
  }

  /** The start is complete. */
  started(): void {
    this.#write();
  }

  /** The state of a server or its lists may have changed. */
  changed(): void {
    if (this.#last === null || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#write();
    }, this.#pauseMs);
    this.#timer.unref();
  }

  /** Nothing more is logged. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#last = null;
  }

  #write(): void {
    const servers = this.#sources.upstreams.servers.filter((server) => !isTombstone(server));
    const text = summaryOf(servers, this.#tools());
    if (text === this.#last) return;
    const now = performance.now();
    const isSoon = this.#lastAt > 0 && now - this.#lastAt < MAX_PAUSE_MS;
    this.#pauseMs = isSoon ? Math.min(this.#pauseMs * 2, MAX_PAUSE_MS) : COALESCE_MS;
    this.#lastAt = now;
    this.#last = text;
    if (servers.length === 0) return;
    if (servers.every(isReady)) this.#logger.info(text);
    else this.#logger.warn(text);
  }

  #tools(): Count {
    return this.#sources.catalog.current.offered.reduce((sum, [tools]) => sum + tools, 0);
  }
}

function isReady({ health, discovery }: SummaryServer): boolean {
  return health.isHealthy && discovery !== null;
}

function summaryOf(servers: readonly SummaryServer[], tools: Count): string {
  const missing = servers.filter((server) => !isReady(server));
  const reasons = missing.slice(0, NAMED).map(({ name, health: { fault, isHealthy } }) => {
    return `${name}: ${isHealthy ? 'its lists are being read' : fault === '' ? 'connecting' : fault}`;
  });
  if (missing.length > NAMED) reasons.push(`and ${missing.length - NAMED} more`);
  const ready = `${servers.length - missing.length} of ${servers.length} servers ready, ${tools} tools`;
  return [ready, ...reasons].join('; ');
}
