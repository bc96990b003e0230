import { isIP } from 'node:net';

/**
 * Whether a bound host is reachable from this machine only: `localhost`, 127.0.0.0/8, `::1` (RFC 6890).
 * Other spellings and `*.localhost` do not count: the check of `Host` accepts just these.
 */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** Whether `host` can be bound to at all: an IP address or a host name. */
export function isHost(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1');
  return (
    isIP(name) !== 0 ||
    /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*$/.test(name)
  );
}
