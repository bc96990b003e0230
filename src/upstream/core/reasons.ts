/**
 * The reasons why an endpoint is not usable, as people read them in the log, in `/stats` and in errors: one line, bounded, with
 * the beginning of what the upstream itself said. docs/troubleshooting.md has a row for each.
 */
import type { Count } from '../../units.js';
import { ControlError } from './control.js';

/** Characters of an upstream's text in a reason. */
const EXCERPT: Count = 200;
/** Characters of a reason towards clients. */
const MAX_CLIENT: Count = 400;

/** The beginning of a text of an upstream on one line: control, format and line-end characters are escaped. */
export function excerpt(text: string, max: Count = EXCERPT): string {
  const characters = Array.from(text.slice(0, 4 * max).trim());
  const shown = characters
    .slice(0, max)
    .join('')
    .replace(/[\p{C}\p{Zl}\p{Zp}\\]/gu, escapedCharacter);
  return characters.length > max || text.length > 4 * max ? `${shown}...` : shown;
}

function escapedCharacter(character: string): string {
  if (character === '\n') return '\\n';
  if (character === '\r') return '\\r';
  if (character === '\t') return '\\t';
  return character === '\\' ? '\\\\' : `\\u{${character.codePointAt(0)?.toString(16)}}`;
}

/** A sentence, and behind a colon the beginning of what the upstream said, if it said anything. */
export function withExcerpt(sentence: string, text: string): string {
  const shown = excerpt(text);
  return shown === '' ? sentence : `${sentence}: ${shown}`;
}

/** The reason that a failed handshake or request gives. */
export function reasonOf(error: unknown): string {
  return error instanceof ControlError ? withExcerpt(error.message, error.text) : 'the handshake failed';
}

/** `code` of a failed connection, with the part that failed where that is not TCP. */
export function connectionFault(code: string): string {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `DNS: ${code}`;
  return isTlsFault(code) ? `TLS: ${code}` : code;
}

/** Whether a connection failed in the TLS handshake: OpenSSL's verification errors, and those of node:tls. */
export function isTlsFault(code: string): boolean {
  return /CERT|SIGNATURE|^(ERR_(SSL|TLS)|EPROTO|UNABLE_TO|INVALID_(CA|PURPOSE)|PATH_LENGTH|HOSTNAME_MISMATCH)/.test(
    code,
  );
}

/**
 * What clients learn of a reason: without addresses, paths, and the frames of stack traces. Known secrets are masked in every
 * reason (`EndpointContext.secrets`).
 */
export function clientReason(reason: string): string {
  const shown = reason
    // From the first frame on: "\n    at f (file:1:2)" of JavaScript, "Traceback ... File "x", line 1" of Python.
    .replace(/(?:\\n|\s)+(?:at \S+ ?\(|at (?:async )?(?:file:|node:|\/)|File ").*$/s, '')
    .replace(/\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>)\]},;]+/gi, '[address]')
    .replace(/\[?\b(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}\]?(?::\d{1,5})?/gi, '[address]')
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b/g, '[address]')
    .replace(/\b(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+):\d{1,5}\b/gi, '[address]')
    .replace(/(^|[\s"'=(:,])(?:~|[A-Za-z]:\\\\?|\.{0,2}(?=\/))[^\s"'<>),;:]*[\\/][^\s"'<>),;]*/g, '$1[path]');
  return shown.length > MAX_CLIENT ? `${shown.slice(0, MAX_CLIENT)}...` : shown;
}

/** A sentence for clients, '' where there is no reason. */
export function reasonSentence(reason: string): string {
  return reason === '' ? '' : `Reason: ${clientReason(reason)}`;
}
