import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { TestScope } from './process.js';

export type { ClientV1, ClientV2 };

export interface ConnectOptions {
  /** Sent with every request, for example `authorization`. */
  headers?: Record<string, string>;
  /** The capabilities that the client declares. */
  capabilities?: Record<string, object>;
}

/** A connected client of SDK v1: revisions up to 2025-11-25, with a session. Closed when the test ends. */
export async function connectV1(scope: TestScope, url: string, options: ConnectOptions = {}): Promise<ClientV1> {
  const client = new ClientV1(
    { name: 'switchyard-test-v1', version: '1.0.0' },
    { capabilities: options.capabilities ?? {} },
  );
  const transport = new TransportV1(new URL(url), { requestInit: { headers: options.headers ?? {} } });
  scope.after(() => client.close());
  // The SDK's own class declares `sessionId` in a way that exactOptionalPropertyTypes refuses.
  await client.connect(transport as Transport);
  return client;
}

/**
 * A connected client of SDK v2; closed when the test ends.
 * `modern` insists on 2026-07-28, `auto` probes with server/discover, `legacy` runs `initialize`.
 */
export async function connectV2(
  scope: TestScope,
  url: string,
  mode: 'modern' | 'auto' | 'legacy' = 'modern',
  options: ConnectOptions = {},
): Promise<ClientV2> {
  const client = new ClientV2(
    { name: 'switchyard-test-v2', version: '1.0.0' },
    {
      capabilities: options.capabilities ?? {},
      versionNegotiation: { mode: mode === 'modern' ? { pin: '2026-07-28' } : mode },
    },
  );
  scope.after(() => client.close());
  await client.connect(new TransportV2(new URL(url), { requestInit: { headers: options.headers ?? {} } }));
  return client;
}
