import type { Readable, Writable } from 'node:stream';
import { compileSnapshot } from '../config/compile/index.js';
import type { GatewayConfig } from '../config/define.js';
import { loadConfigObject } from '../config/load.js';
import type { Snapshot } from '../config/snapshot/index.js';
import type { Revocation } from '../control/credentials/revocations.js';
import { startGateway } from '../control/gateway.js';
import type { UpstreamHealth } from '../control/health.js';
import type { Address, RunningGateway } from '../control/running-gateway.js';
import type { Stats } from '../observe/stats.js';
import { type LocalConnection, openLocalConnection } from '../request/accept/connection/in-process.js';
import { serveStdio } from '../request/accept/connection/stdio.js';
import type { Discovery } from '../upstream/core/types.js';
import { type ClientTransport, LocalTransport } from './local-transport.js';

/** Credentials of a client in this process or on pipes. */
export interface ClientOptions {
  /** The bearer token of its messages, where the configuration has `auth`; default none. */
  readonly token?: string;
}

/** Options of {@link EmbeddedGateway.serveStdio}. */
export interface StdioOptions extends ClientOptions {
  /** Default: the standard input of this process. */
  readonly input?: Readable;
  /** Default: the standard output of this process, to which nothing else may write. */
  readonly output?: Writable;
}

/** A gateway within this process. */
export interface EmbeddedGateway {
  /**
   * Starts the gateway and resolves once clients are served. Upstreams that are slow or down delay it by
   * `catalog.startupWaitMs` at most. A second call returns the same promise, or tries again after a failure.
   *
   * @throws Error with `code` EADDRINUSE when a port is taken
   * @throws ConfigError when `sessions.keyFile` cannot be written or read
   */
  start(): Promise<void>;
  /**
   * Drains and ends: no new connections, requests in flight finish within `limits.drainMs`, children stop. It cannot be
   * started again. A second call returns the same promise.
   */
  stop(): Promise<void>;
  /**
   * Applies another configuration without failing a request: calls in flight finish under the old one, unchanged servers
   * keep running. Resolves when the replacements of changed servers are ready. Before `start` it only replaces the
   * configuration.
   *
   * @throws ConfigError when it cannot be used, or needs a restart (ports, workers, ...); nothing has changed then
   */
  reload(config: GatewayConfig): Promise<void>;
  /** The document of `/stats`. @throws Error when the gateway does not run */
  stats(): Promise<Stats>;
  /**
   * Revokes a token (by itself or its SHA-256), all tokens of a subject issued up to now, or a session: new requests are
   * refused at once, event streams and connections end within a second, calls in flight finish. It holds in this process
   * until {@link unrevoke} or its end, across reloads; of a token with an expiry, until then.
   *
   * @returns false when there is no such session
   * @throws GatewayError with `code` GW_REVOCATIONS_FULL when `limits.maxRevoked` is reached; nothing is revoked then
   * @throws TypeError when `revocation` is none
   * @throws Error when the gateway does not run
   */
  revoke(revocation: Revocation): boolean;
  /** Undoes {@link revoke}. @returns false when nothing of it was revoked. @throws as `revoke` */
  unrevoke(revocation: Revocation): boolean;
  /** The state of the upstream servers at this moment. @throws Error when the gateway does not run */
  upstreamHealth(): UpstreamHealth[];
  /** The address of the MCP endpoint; null while the gateway does not run, and without a port (`port: false`). */
  readonly address: Address | null;
  /** The URL of the MCP endpoint; null where {@link address} is null. */
  readonly url: string | null;
  /** The address of the admin listener; null while the gateway does not run, and without one (`admin: false`). */
  readonly adminAddress: Address | null;
  /** A transport for one MCP client in this process. It can be connected once the gateway runs. */
  connect(options?: ClientOptions): ClientTransport;
  /** Serves one client on pipes; resolves when it has disconnected: its input ended, or its output failed. */
  serveStdio(options?: StdioOptions): Promise<void>;
  /** As {@link stop}: `await using gateway = createGateway(...)`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The gateway of {@link createGateway} and {@link createProxy}; owns the running gateway and its local connections. */
export class OwnGateway implements EmbeddedGateway {
  #snapshot: Snapshot;
  #running: RunningGateway | null = null;
  #starting: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  readonly #connections = new Set<{ close(): void }>();

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  start(): Promise<void> {
    if (this.#stopping !== null) return Promise.reject(new Error('the gateway was stopped'));
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    try {
      this.#running = await startGateway(this.#snapshot);
    } catch (error) {
      this.#starting = null;
      throw error;
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    // The caller of `start` got the error.
    await this.#starting?.catch(() => {});
    const running = this.#running;
    await running?.stop();
    this.#running = null;
    for (const connection of this.#connections) connection.close();
  }

  async reload(config: GatewayConfig): Promise<void> {
    let snapshot: Snapshot;
    try {
      snapshot = compiled(config);
    } catch (error) {
      this.#running?.reloadFailed(error);
      throw error;
    }
    if (this.#stopping !== null) throw new Error('the gateway was stopped');
    await this.#starting?.catch(() => {});
    await this.#running?.reload(snapshot);
    this.#snapshot = snapshot;
  }

  stats(): Promise<Stats> {
    return this.#requireRunning().stats();
  }

  revoke(revocation: Revocation): boolean {
    return this.#requireRunning().revoke(revocation);
  }

  unrevoke(revocation: Revocation): boolean {
    return this.#requireRunning().unrevoke(revocation);
  }

  upstreamHealth(): UpstreamHealth[] {
    return this.#requireRunning().upstreamHealth();
  }

  /** See RunningGateway. @throws Error when the gateway does not run */
  get lists(): readonly Discovery[] {
    return this.#requireRunning().lists;
  }

  get address(): Address | null {
    return this.#running?.address ?? null;
  }

  get url(): string | null {
    const { address } = this;
    if (address === null) return null;
    const host = address.host.includes(':') ? `[${address.host}]` : address.host;
    return `http://${host}:${address.port}${this.#snapshot.path}`;
  }

  get adminAddress(): Address | null {
    return this.#running?.adminAddress ?? null;
  }

  connect(options: ClientOptions = {}): ClientTransport {
    return new LocalTransport(this, options.token ?? '');
  }

  /** Opens the connection of a {@link LocalTransport}. @throws Error when the gateway does not run */
  openConnection(token: string): LocalConnection {
    const { entry, snapshot } = this.#requireRunning();
    const connection = openLocalConnection(entry.handler, entry.table, snapshot.limits, token);
    const connections = this.#connections;
    connections.add(connection);
    // `onclose` belongs to the transport, so the connection is removed here when its client closes it.
    const { close } = connection;
    connection.close = () => {
      connections.delete(connection);
      close();
    };
    return connection;
  }

  async serveStdio(options: StdioOptions = {}): Promise<void> {
    const { entry, snapshot } = this.#requireRunning();
    const connection = serveStdio({
      ...entry,
      input: options.input ?? process.stdin,
      output: options.output ?? process.stdout,
      limits: snapshot.limits,
      token: options.token ?? '',
    });
    this.#connections.add(connection);
    await connection.ended;
    this.#connections.delete(connection);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #requireRunning(): RunningGateway {
    if (this.#running === null) throw new Error('the gateway does not run; call start() first');
    return this.#running;
  }
}

/** The snapshot of a configuration made by a program. @throws ConfigError when it cannot be used */
export function compiled(config: GatewayConfig): Snapshot {
  return compileSnapshot(loadConfigObject(config));
}
