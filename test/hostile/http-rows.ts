import type { FrontEndKind } from '../../src/request/accept/http/handler.js';

/**
 * How a front end meets a row:
 * - a number: it answers with this status and the handler sees nothing
 * - `closed`: it closes the connection without an answer and the handler sees nothing
 * - `silent`: the server's parser neither answers nor hands on; its idle timer cuts the connection
 * - `cut`: the handler may see the request, but the client does not get its answer
 * - `served`: the request is legal (or the server hides the irregularity) and the handler sees it, once
 */
export type Outcome = number | 'closed' | 'silent' | 'cut' | 'served';

export interface HttpRow {
  readonly name: string;
  /** Bytes to send, as Latin-1; several pieces go out as several segments. */
  readonly data: string | readonly string[];
  readonly outcome: Readonly<Record<FrontEndKind, Outcome>>;
  /** The row is sent a second time with another request right behind it, which must not be seen. */
  readonly disputed?: boolean;
}

const BODY = '{"a":1}';
const TYPE = 'Content-Type: application/json\r\n';
const HOST = 'Host: localhost\r\n';
const LENGTH = `Content-Length: ${BODY.length}\r\n`;
const CHUNKED_BODY = `7\r\n${BODY}\r\n0\r\n\r\n`;
const TE = 'Transfer-Encoding: chunked\r\n';

/** A request that must never be seen: it follows bytes whose framing is disputed. */
export const SMUGGLED = '{"smuggled":true}';
export const NEXT = `POST /mcp HTTP/1.1\r\n${HOST}${TYPE}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`;

function request(headers: string, body = BODY, line = 'POST /mcp HTTP/1.1'): string {
  return `${line}\r\n${headers}\r\n${body}`;
}

/** A row with the plain body under `headers`. */
function disputed(name: string, headers: string, uws: Outcome, node: Outcome, body = BODY): HttpRow {
  return { name, data: request(`${HOST}${TYPE}${headers}`, body), outcome: { uws, node }, disputed: true };
}

function both(name: string, outcome: Outcome, data: string | readonly string[]): HttpRow {
  return { name, data, outcome: { uws: outcome, node: outcome } };
}

function split(name: string, uws: Outcome, node: Outcome, data: string | readonly string[]): HttpRow {
  return { name, data, outcome: { uws, node } };
}

const many = (count: number): string => Array.from({ length: count }, (_, index) => `X-${index}: a\r\n`).join('');

/** RFC 9112 section 6: the length of a message must have one meaning. */
const LENGTH_ROWS: readonly HttpRow[] = [
  disputed('Content-Length and Transfer-Encoding', `${LENGTH}${TE}`, 400, 400, CHUNKED_BODY),
  disputed('Transfer-Encoding and Content-Length', `${TE}${LENGTH}`, 400, 400, CHUNKED_BODY),
  disputed('lower-case names of both', `content-length: 7\r\ntransfer-encoding: chunked\r\n`, 400, 400, CHUNKED_BODY),
  disputed('two different Content-Length', 'Content-Length: 7\r\nContent-Length: 70\r\n', 400, 400),
  disputed('the same Content-Length twice', 'Content-Length: 7\r\nContent-Length: 7\r\n', 400, 400),
  disputed('Content-Length as a list', 'Content-Length: 7, 7\r\n', 400, 400),
  disputed('Content-Length with plus', 'Content-Length: +7\r\n', 400, 400),
  disputed('Content-Length with minus', 'Content-Length: -7\r\n', 400, 400),
  disputed('Content-Length in hex', 'Content-Length: 0x7\r\n', 400, 400),
  disputed('Content-Length with a fraction', 'Content-Length: 7.0\r\n', 400, 400),
  disputed('Content-Length with an exponent', 'Content-Length: 7e0\r\n', 400, 400),
  disputed('Content-Length with inner space', 'Content-Length: 0 7\r\n', 400, 400),
  disputed('Content-Length of 19 digits', 'Content-Length: 9223372036854775807\r\n', 400, 400),
  disputed('Content-Length that wraps around 2^64', 'Content-Length: 18446744073709551623\r\n', 400, 400),
  disputed('Content-Length of 40 digits', `Content-Length: ${'0'.repeat(39)}7\r\n`, 400, 400),
  disputed('empty Content-Length', 'Content-Length:\r\n', 400, 400),
  disputed('Content-Length of spaces', 'Content-Length:   \r\n', 400, 400),
  disputed('no length at all', '', 400, 400),
  disputed('Content-Length with an underscore', 'Content_Length: 7\r\n', 400, 400),
  disputed('Transfer-Encoding: Chunked', 'Transfer-Encoding: Chunked\r\n', 400, 400, CHUNKED_BODY),
  disputed('Transfer-Encoding: CHUNKED', 'Transfer-Encoding: CHUNKED\r\n', 400, 400, CHUNKED_BODY),
  disputed('Transfer-Encoding: xchunked', 'Transfer-Encoding: xchunked\r\n', 400, 400, CHUNKED_BODY),
  disputed('Transfer-Encoding: identity', 'Transfer-Encoding: identity\r\n', 400, 400, CHUNKED_BODY),
  disputed('Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: gzip, chunked\r\n', 400, 400, CHUNKED_BODY),
  disputed('Transfer-Encoding: chunked, gzip', 'Transfer-Encoding: chunked, gzip\r\n', 400, 400, CHUNKED_BODY),
  disputed('Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: chunked, chunked\r\n', 400, 400, CHUNKED_BODY),
  disputed('quoted Transfer-Encoding', 'Transfer-Encoding: "chunked"\r\n', 400, 400, CHUNKED_BODY),
  disputed('empty Transfer-Encoding', 'Transfer-Encoding:\r\n', 400, 400, CHUNKED_BODY),
  disputed('two Transfer-Encoding lines', `${TE}Transfer-Encoding: identity\r\n`, 400, 400, CHUNKED_BODY),
  disputed('Transfer-Encoding twice', `${TE}${TE}`, 400, 400, CHUNKED_BODY),
  disputed('byte over 127 before Content-Length', 'Content-Length: \xff7\r\n', 400, 400),
  disputed('byte over 127 behind Content-Length', 'Content-Length: 7\x80\r\n', 400, 400),
  disputed('byte over 127 before Transfer-Encoding', 'Transfer-Encoding:\xa0chunked\r\n', 400, 400, CHUNKED_BODY),
  disputed('byte over 127 behind Transfer-Encoding', 'Transfer-Encoding: chunked\x85\r\n', 400, 400, CHUNKED_BODY),
  disputed('tab behind Content-Length', 'Content-Length: 7\t\r\n', 400, 400),
  disputed('tab behind Transfer-Encoding', 'Transfer-Encoding: chunked\t\r\n', 400, 400, CHUNKED_BODY),
  // llhttp takes a tab for the space that may be there (RFC 9110 section 5.6.3), and does not show it.
  split('tab before Content-Length', 400, 'served', request(`${HOST}${TYPE}Content-Length:\t7\r\n`)),
  split(
    'tab before Transfer-Encoding',
    400,
    'served',
    request(`${HOST}${TYPE}Transfer-Encoding:\tchunked\r\n`, CHUNKED_BODY),
  ),
  disputed('vertical tab in Transfer-Encoding', 'Transfer-Encoding: \x0bchunked\r\n', 400, 400, CHUNKED_BODY),
  disputed('space before the colon of Content-Length', 'Content-Length : 7\r\n', 400, 400),
  disputed('space before the colon of Transfer-Encoding', 'Transfer-Encoding : chunked\r\n', 400, 400, CHUNKED_BODY),
];

/** Chunked bodies, and how the front ends meet them.. */
export const CHUNKED_BODIES: readonly (readonly [name: string, body: string, uws: Outcome, node: Outcome])[] = [
  ['one chunk', CHUNKED_BODY, 'served', 'served'],
  ['two chunks', `3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n`, 'served', 'served'],
  ['leading zeros', `0000000000000007\r\n${BODY}\r\n000\r\n\r\n`, 'served', 'served'],
  ['data shorter than its size', `A\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['line feed alone after a size', `7\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['line feed alone after the last size', `7\r\n${BODY}\r\n0\n\r\n`, 400, 400],
  ['line feeds alone at the end', `7\r\n${BODY}\r\n0\n\n`, 400, 400],
  ['line feed alone behind the data', `7\r\n${BODY}\n0\r\n\r\n`, 400, 400],
  ['two line feeds behind the data', `7\r\n${BODY}\n\n0\r\n\r\n`, 400, 400],
  ['no line end behind the data', `7\r\n${BODY}0\r\n\r\n`, 400, 400],
  ['other bytes behind the data', `7\r\n${BODY}XX0\r\n\r\n`, 400, 400],
  ['carriage return alone after a size', `7\r${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['two carriage returns after a size', `7\r\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['space after a size', `7 \r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['tab after a size', `7\t\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['space before a size', ` 7\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['control character after a size', `7\x01zz\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['5,000 spaces after a size', `7${' '.repeat(5000)}\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['empty size', `\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['size that overflows', `10000000000000007\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['size that overflows 32 bits', `100000007\r\n${BODY}\r\n0\r\n\r\n`, 400, 'silent'],
  ['negative size', `-7\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['size with a plus', `+7\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['size with a prefix', `0x7\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['size that is a letter past F', `G\r\n${'x'.repeat(16)}\r\n0\r\n\r\n`, 400, 400],
  ['other bytes instead of the end', `7\r\n${BODY}\r\n0\r\nXX\r\n\r\n`, 400, 400],
  ['trailer field', `7\r\n${BODY}\r\n0\r\nX-Trailer: y\r\n\r\n`, 400, 400],
  // llhttp drops extensions; nothing of the framing is forwarded.
  ['extension', `7;a=b\r\n${BODY}\r\n0\r\n\r\n`, 400, 'served'],
  ['extension of the last chunk', `7\r\n${BODY}\r\n0;a=b\r\n\r\n`, 400, 'served'],
  ['extension with a line feed', `7;a="\n"\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['space before an extension', `7 ;a=b\r\n${BODY}\r\n0\r\n\r\n`, 400, 400],
  ['no last chunk', `7\r\n${BODY}\r\n`, 'silent', 'silent'],
  ['no end behind the last chunk', `7\r\n${BODY}\r\n0\r\n`, 'silent', 'silent'],
];

/** RFC 9112 section 7.1. */
const CHUNK_ROWS: readonly HttpRow[] = CHUNKED_BODIES.map(([name, body, uws, node]) => ({
  name: `chunked body: ${name}`,
  data: request(`${HOST}${TYPE}${TE}`, body),
  outcome: { uws, node },
  disputed: uws === 400 && node === 400,
}));

/** RFC 9112 sections 2 to 5: lines and fields. */
const LINE_ROWS: readonly HttpRow[] = [
  split('bare line feeds', 505, 400, request(`${HOST}${TYPE}${LENGTH}`).replaceAll('\r\n', '\n')),
  split('one bare line feed', 400, 400, request(`Host: localhost\n${TYPE}${LENGTH}`)),
  split('carriage return alone in a value', 400, 400, request(`${HOST}X: a\rb\r\n${TYPE}${LENGTH}`)),
  split('folded line', 400, 400, request(`${HOST}X: a\r\n b\r\n${TYPE}${LENGTH}`)),
  split('folded first line', 400, 400, request(` ${HOST}${TYPE}${LENGTH}`)),
  split('space before a colon', 400, 400, request(`${HOST}X : a\r\n${TYPE}${LENGTH}`)),
  split('line without a colon', 400, 400, request(`${HOST}Xabc\r\n${TYPE}${LENGTH}`)),
  split('empty name', 400, 400, request(`${HOST}${LENGTH}: a\r\n${TYPE}`)),
  split('empty name before the length', 400, 400, request(`${HOST}${TYPE}: a\r\n${LENGTH}`)),
  split('DEL in a value', 400, 400, request(`${HOST}X: a\x7fb\r\n${TYPE}${LENGTH}`)),
  split('NUL in a value', 400, 400, request(`${HOST}X: a\0b\r\n${TYPE}${LENGTH}`)),
  split('control character in a value', 400, 400, request(`${HOST}X: a\x01b\r\n${TYPE}${LENGTH}`)),
  split('NUL in a name', 400, 400, request(`${HOST}X\0: a\r\n${TYPE}${LENGTH}`)),
  split('byte over 127 in a name', 400, 400, request(`${HOST}X\xe4: a\r\n${TYPE}${LENGTH}`)),
  split('HTTP/0.9', 505, 400, 'GET /mcp\r\n\r\n'),
  split('HTTP/1.0', 505, 400, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST /mcp HTTP/1.0')),
  split('HTTP/1.2', 505, 400, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST /mcp HTTP/1.2')),
  split('HTTP/2 preface', 505, 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  split('a TLS hello', 505, 400, '\x16\x03\x01\x02\x00\x01\x00\r\n\r\n'),
  split(
    'two spaces in the request line',
    505,
    'served',
    request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST  /mcp HTTP/1.1'),
  ),
  split('tabs in the request line', 505, 400, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST\t/mcp\tHTTP/1.1')),
  split('unknown method', 405, 400, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'P@ST /mcp HTTP/1.1')),
  split('method in lower case', 405, 400, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'post /mcp HTTP/1.1')),
  both('PUT', 405, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'PUT /mcp HTTP/1.1')),
  both('TRACE', 405, request(HOST, '', 'TRACE /mcp HTTP/1.1')),
  split('CONNECT', 505, 'closed', request(HOST, '', 'CONNECT localhost:80 HTTP/1.1')),
  split('asterisk target', 505, 400, request(HOST, '', 'OPTIONS * HTTP/1.1')),
  split(
    'absolute target of another host',
    505,
    400,
    request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST http://evil/mcp HTTP/1.1'),
  ),
  split(
    'absolute target of this host',
    505,
    'served',
    request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST http://localhost/mcp HTTP/1.1'),
  ),
  both('another path', 404, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST /other HTTP/1.1')),
  both('a path beneath the endpoint', 404, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST /mcp/../mcp HTTP/1.1')),
  both('an escaped spelling of the endpoint', 404, request(`${HOST}${TYPE}${LENGTH}`, BODY, 'POST /%6dcp HTTP/1.1')),
];

/** Who is asked, and by whose page (protocol: DNS rebinding). */
const HOST_ROWS: readonly HttpRow[] = [
  both('no Host', 400, request(`${TYPE}${LENGTH}`)),
  both('empty Host', 400, request(`Host:\r\n${TYPE}${LENGTH}`)),
  disputed('two Hosts', `Host: evil\r\n${LENGTH}`, 400, 400),
  disputed('the same Host twice', `${HOST}${LENGTH}`, 400, 400),
  both('Host with userinfo', 400, request(`Host: localhost@evil\r\n${TYPE}${LENGTH}`)),
  both('Host as a list', 400, request(`Host: localhost, evil\r\n${TYPE}${LENGTH}`)),
  both('Host with a path', 400, request(`Host: localhost/x\r\n${TYPE}${LENGTH}`)),
  both('Host with a bad port', 400, request(`Host: localhost:99999\r\n${TYPE}${LENGTH}`)),
  both('foreign Host', 403, request(`Host: evil.example\r\n${TYPE}${LENGTH}`)),
  both('Host that only begins like ours', 403, request(`Host: localhost.evil.example\r\n${TYPE}${LENGTH}`)),
  both('Host that looks like loopback', 403, request(`Host: 127.0.0.1.evil.example\r\n${TYPE}${LENGTH}`)),
  both('loopback Host on any port', 'served', request(`Host: LOCALHOST:1234\r\n${TYPE}${LENGTH}`)),
  both('IPv6 loopback Host', 'served', request(`Host: [::1]:80\r\n${TYPE}${LENGTH}`)),
  both('Origin: null', 403, request(`${HOST}Origin: null\r\n${TYPE}${LENGTH}`)),
  both('empty Origin', 403, request(`${HOST}Origin:\r\n${TYPE}${LENGTH}`)),
  both('foreign Origin', 403, request(`${HOST}Origin: http://evil.example\r\n${TYPE}${LENGTH}`)),
  both(
    'Origin that only begins like ours',
    403,
    request(`${HOST}Origin: http://localhost.evil.example\r\n${TYPE}${LENGTH}`),
  ),
  both('Origin with userinfo', 403, request(`${HOST}Origin: http://localhost@evil.example\r\n${TYPE}${LENGTH}`)),
  both('Origin with a path', 403, request(`${HOST}Origin: http://localhost/x\r\n${TYPE}${LENGTH}`)),
  both('two Origins', 400, request(`${HOST}Origin: http://localhost\r\nOrigin: http://localhost\r\n${TYPE}${LENGTH}`)),
  both('two Origins on one line', 403, request(`${HOST}Origin: http://localhost http://evil\r\n${TYPE}${LENGTH}`)),
  both('loopback Origin', 'served', request(`${HOST}Origin: http://localhost:6274\r\n${TYPE}${LENGTH}`)),
  both(
    'foreign Origin on GET',
    403,
    request(`${HOST}Origin: http://evil.example\r\nAccept: text/event-stream\r\n`, '', 'GET /mcp HTTP/1.1'),
  ),
  both('foreign Origin on DELETE', 403, request(`${HOST}Origin: http://evil.example\r\n`, '', 'DELETE /mcp HTTP/1.1')),
  both('foreign Host on GET', 403, request('Host: evil.example\r\n', '', 'GET /mcp HTTP/1.1')),
];

/** Fields that decide something may come once; sizes are bounded; bodies are plain JSON. */
const FIELD_ROWS: readonly HttpRow[] = [
  both(
    'two Authorization',
    400,
    request(`${HOST}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n${TYPE}${LENGTH}`),
  ),
  both('two Content-Type', 400, request(`${HOST}${TYPE}Content-Type: text/plain\r\n${LENGTH}`)),
  both('two Mcp-Session-Id', 400, request(`${HOST}Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n${TYPE}${LENGTH}`)),
  both(
    'two MCP-Protocol-Version',
    400,
    request(`${HOST}MCP-Protocol-Version: 2025-06-18\r\nMCP-Protocol-Version: 2026-07-28\r\n${TYPE}${LENGTH}`),
  ),
  both('two Mcp-Method', 400, request(`${HOST}Mcp-Method: a\r\nMcp-Method: b\r\n${TYPE}${LENGTH}`)),
  both('two Mcp-Name', 400, request(`${HOST}Mcp-Name: a\r\nmcp-name: b\r\n${TYPE}${LENGTH}`)),
  both('two equal Mcp-Param', 400, request(`${HOST}Mcp-Param-A: a\r\nmcp-param-a: a\r\n${TYPE}${LENGTH}`)),
  both('Content-Encoding', 415, request(`${HOST}Content-Encoding: gzip\r\n${TYPE}${LENGTH}`)),
  both('bytes over 127 in another field', 'served', request(`${HOST}X-City: \xc5\x8csaka\xc3\xa9\r\n${TYPE}${LENGTH}`)),
  both('no Content-Type', 415, request(`${HOST}${LENGTH}`)),
  both('Content-Type of a form', 415, request(`${HOST}Content-Type: application/x-www-form-urlencoded\r\n${LENGTH}`)),
  both('Content-Type of plain text', 415, request(`${HOST}Content-Type: text/plain\r\n${LENGTH}`)),
  both(
    'Content-Type that only begins like JSON',
    415,
    request(`${HOST}Content-Type: application/json-patch\r\n${LENGTH}`),
  ),
  both('charset that is not UTF-8', 415, request(`${HOST}Content-Type: application/json; charset=utf-16\r\n${LENGTH}`)),
  both('charset UTF-8', 'served', request(`${HOST}Content-Type: Application/JSON; charset="UTF-8"\r\n${LENGTH}`)),
  both('Expect: 100-continue', 'served', [request(`${HOST}Expect: 100-continue\r\n${TYPE}${LENGTH}`, ''), BODY]),
  both('unknown expectation', 400, request(`${HOST}Expect: 200-ok\r\n${TYPE}${LENGTH}`)),
  both('GET with a body', 400, request(`${HOST}${LENGTH}Accept: text/event-stream\r\n`, BODY, 'GET /mcp HTTP/1.1')),
  both('DELETE with a body', 400, request(`${HOST}${LENGTH}`, BODY, 'DELETE /mcp HTTP/1.1')),
  both('as many headers as allowed', 'served', request(`${HOST}${many(61)}${TYPE}${LENGTH}`)),
  both('one header too many', 400, request(`${HOST}${many(62)}${TYPE}${LENGTH}`)),
  split('200 headers', 400, 400, request(`${HOST}${many(200)}${TYPE}${LENGTH}`)),
  both('header block over the limit', 400, request(`${HOST}X: ${'a'.repeat(8200)}\r\n${TYPE}${LENGTH}`)),
  both('large header block in two segments', 'served', [
    `POST /mcp HTTP/1.1\r\n${HOST}X: ${'a'.repeat(4000)}`,
    `${'a'.repeat(3000)}\r\n${TYPE}${LENGTH}\r\n${BODY}`,
  ]),
  split('endless header', 431, 431, [`POST /mcp HTTP/1.1\r\n${HOST}X: ${'a'.repeat(9000)}`, 'a'.repeat(9000)]),
  both('a body over the limit', 413, request(`${HOST}${TYPE}Content-Length: 100000000\r\n`, 'x'.repeat(1000))),
];

/** A connection on which a second request follows before the first is answered. */
export const PIPELINED = `${request(`${HOST}${TYPE}${LENGTH}`)}${NEXT}`;

export const HTTP_ROWS: readonly HttpRow[] = [...LENGTH_ROWS, ...CHUNK_ROWS, ...LINE_ROWS, ...HOST_ROWS, ...FIELD_ROWS];

/** The body that a served row carries. */
export const PLAIN_BODY = BODY;
