import type { EmbeddedGateway } from '../api/gateway.js';
import type { Milliseconds } from '../units.js';

/** The default of `mcpServers.NAME.connectTimeoutMs`, which a proxy does not change. */
const CONNECT_MS: Milliseconds = 30_000;
const POLL_MS: Milliseconds = 20;
/** One failed try may lead to another way: without the probe, over the other transport. */
const TRIES = 2;

/**
 * Waits until the server of a proxy is connected, has failed repeatedly, or has had `connectTimeoutMs`.
 *
 * @param proxy runs
 * @returns why the server is not available, '' = it is
 */
export async function proxyFault(proxy: EmbeddedGateway): Promise<string> {
  const deadline = performance.now() + CONNECT_MS;
  for (;;) {
    const [server] = proxy.upstreamHealth();
    if (server === undefined || server.healthy) return '';
    const reason = server.endpoints.find((endpoint) => endpoint.reason !== '')?.reason ?? '';
    if (server.endpoints.every(({ failedTries }) => failedTries >= TRIES)) return reason;
    if (performance.now() >= deadline) return reason === '' ? 'it did not answer in time' : reason;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
