/** Addresses for output, and the sentences about addresses that cannot be bound. */

/** `host:port` in the form of a URL. */
export function authority(address: { readonly host: string; readonly port: number }): string {
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/** A URL that clients on this machine can use, also when the gateway is bound to all addresses. */
export function clientUrl(address: { readonly host: string; readonly port: number }): string {
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  return `http://${authority({ host: everywhere[address.host] ?? address.host, port: address.port })}/mcp`;
}

const LISTEN_FAULTS: Readonly<Record<string, (where: string) => string>> = {
  EADDRINUSE: (where) => `${where} is in use already; stop the program that uses it, or choose another port`,
  EACCES: (where) => `this user may not listen on ${where}; choose a port above 1023`,
  EADDRNOTAVAIL: (where) => `${where} is not an address of this machine`,
  ENOTFOUND: (where) => `the host of ${where} cannot be resolved`,
  EAI_AGAIN: (where) => `the host of ${where} cannot be resolved`,
};

/** One sentence about an address that cannot be bound; null for any other error. */
export function listenSentence(
  error: NodeJS.ErrnoException & { address?: string; port?: number },
  host: string,
  port: number,
): string | null {
  const sentence = LISTEN_FAULTS[error.code ?? ''];
  if (sentence === undefined) return null;
  return sentence(authority({ host: error.address ?? host, port: error.port ?? port }));
}
