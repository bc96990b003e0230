import type { GatewayAddresses } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import type { Message } from '../support/rpc.js';

/** The document of `/stats`. */
export async function statsOf(gateway: GatewayAddresses): Promise<Message> {
  return (await fetch(`${gateway.adminUrl}/stats`)).json();
}

/** Waits until the gateway holds no request and no upstream call any more. */
export async function idle(gateway: GatewayAddresses, timeoutMs = 15_000): Promise<Message> {
  return eventually(
    'nothing is in flight',
    async () => {
      const stats = await statsOf(gateway);
      const calls = stats.upstreams.flatMap(({ endpoints }: Message) =>
        endpoints.map((each: Message) => each.inFlight),
      );
      return stats.requests.inFlight === 0 && calls.every((count: number) => count === 0) ? stats : null;
    },
    timeoutMs,
  );
}

/** Waits until the catalog has something from each upstream. */
export async function listed(gateway: GatewayAddresses): Promise<void> {
  await eventually('the upstreams are listed', async () => (await statsOf(gateway)).catalog.undiscovered.length === 0);
}
