import { hostName, isAddress, isLoopbackName } from '../../request/accept/http/rules.js';

/** Which `Host` and `Origin` headers the admin listener accepts, by the rules of the clients' port. */
export class AdminRules {
  readonly #loopback: boolean;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor(listenHost: string, allowedHosts: readonly string[], allowedOrigins: readonly string[]) {
    this.#loopback = isLoopbackName(listenHost.toLowerCase());
    this.#hosts = new Set(allowedHosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(allowedOrigins.map((origin) => origin.toLowerCase()));
  }

  hostAllowed(value: string): boolean {
    const name = hostName(value.toLowerCase());
    if (name === null) return false;
    if (this.#hosts.has(name)) return true;
    return this.#loopback ? isLoopbackName(name) : this.#hosts.size === 0;
  }

  /** Probes and scrapers send the address that they connect to; see `AcceptRules.probeHostAllowed`. */
  probeHostAllowed(value: string): boolean {
    return !this.#loopback && isAddress(value);
  }

  /** `null` and origins other than http and https are never allowed. */
  originAllowed(value: string): boolean {
    const origin = value.toLowerCase();
    if (this.#origins.has(origin)) return true;
    const [, host] = /^https?:\/\/(.*)$/.exec(origin) ?? [];
    const name = host === undefined ? null : hostName(host);
    return name !== null && this.#loopback && isLoopbackName(name);
  }
}
