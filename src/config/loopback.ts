import { isIP } from 'node:net';

/** Whether a host to bind to is reached from this machine only (RFC 6890 127.0.0.0/8 and ::1; RFC 6761 localhost). */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  if (isIP(name) === 4) return name.startsWith('127.');
  if (isIP(name) !== 6) return false;
  return /^(?:0*:)*:?0*1$/.test(name) || /^::ffff:127\./.test(name);
}

/** Whether `host` can be bound to at all: an IP address or a host name. */
export function isHost(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1');
  return (
    isIP(name) !== 0 ||
    /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*$/.test(name)
  );
}
