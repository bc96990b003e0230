/** Scripted HTTP upstreams behind a pool of their own. */
import type { ServerSnapshot } from '../../src/config/snapshot/index.js';
import type { TestScope } from '../support/process.js';
import {
  type Answer,
  type RawUpstream,
  type ReceivedRequest,
  rawUpstream,
  type Script,
} from '../support/raw-upstream.js';
import { httpOf, type PoolFixture, serverOf, startPool } from './fixture.js';

/** Which protocol family an upstream speaks. */
export type Family = 'legacy' | 'modern';

/** Starts a scripted upstream and a pool over it, and waits until it is ready. */
export async function startRaw(
  scope: TestScope,
  family: Family,
  script: Script,
  more: Partial<ServerSnapshot> = {},
  maxResponseBytes = 1_000_000,
): Promise<{ upstream: RawUpstream; pool: PoolFixture }> {
  const upstream = await rawUpstream(scope, script, { family });
  const pool = startPool(scope, [serverOf([httpOf(upstream.url)], more)], { maxResponseBytes });
  await pool.ready();
  return { upstream, pool };
}

/** The response to a request, as text. */
export const respond = (request: ReceivedRequest, result: unknown): string =>
  JSON.stringify({ jsonrpc: '2.0', id: request.message.id, result });

/** Answers with a status other than 200. */
export const refuse = (answer: Answer, status: number, body: unknown, type = 'application/json'): void => {
  answer.response.writeHead(status, { 'content-type': type, 'www-authenticate': 'Bearer realm="theirs"' });
  answer.response.end(typeof body === 'string' ? body : JSON.stringify(body));
};
