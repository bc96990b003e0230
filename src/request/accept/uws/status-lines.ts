import { STATUS_CODES } from 'node:http';

const lines: string[] = [];
for (const [code, phrase] of Object.entries(STATUS_CODES)) lines[Number(code)] = `${code} ${phrase}`;

/** `404 Not Found` for 404 (RFC 9110 section 15). */
export function statusLine(status: number): string {
  return lines[status] ?? `${status} Status`;
}
