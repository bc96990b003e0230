/**
 * Both front ends get the same damaged requests. What one of them serves the other serves too, with the same meaning:
 * where they differ, a proxy in front and the gateway could differ as well. What may differ is listed, as data.
 *
 * See http-mutations.ts for how to run it for longer.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { FrontEndKind } from '../../src/request/accept/http/handler.js';
import { openTestFront, type TestFront } from '../request/accept/fixture.js';
import { apply, batches, SEED } from './http-mutations.js';

/** Pairs of front ends that are used at the same time. */
const LANES = 12;
/** Silence after which nothing more is expected, in milliseconds; a difference is looked at again with the longer one. */
const QUIET_MS = 40;
const PATIENT_MS = 1000;

interface Difference {
  readonly reason: string;
  /** Which front end serves the request; the other one refuses it. */
  readonly serves: FrontEndKind;
  /** What is in the bytes then. */
  readonly pattern: RegExp;
}

const ALLOWED: readonly Difference[] = [
  { reason: 'llhttp takes any number of zeros before a chunk size', serves: 'node', pattern: /\n0[0-9a-f]{16,}\r/i },
  {
    reason: 'llhttp takes a tab before a length',
    serves: 'node',
    pattern: /\n(?:Content-Length|Transfer-Encoding): *\t/i,
  },
  { reason: 'llhttp drops chunk extensions', serves: 'node', pattern: /\r\n[0-9a-f]+;/i },
  {
    reason: 'uWebSockets.js takes letters, digits and hyphens in names, llhttp any token',
    serves: 'node',
    pattern: /\n[A-Za-z0-9-]*[!#$%&'*+.^_`|~][^:\r\n]*:/,
  },
  {
    reason: 'llhttp takes several spaces in the request line',
    serves: 'node',
    pattern: /^[\r\n]*[A-Z]+ {2,}|^[^\r\n]* {2,}HTTP/,
  },
  { reason: 'llhttp takes line ends before the request line', serves: 'node', pattern: /^[\r\n]/ },
  { reason: 'uWebSockets.js refuses absolute targets', serves: 'node', pattern: /^[\r\n]*[A-Z]+ +http:/i },
  {
    reason: 'uWebSockets.js hides bytes over 127 at the ends of fields, so that these are refused there',
    serves: 'node',
    pattern: /\n[^:\r\n]+:(?:[ \t]*[\x80-\xff]|[^\n]*[\x80-\xff][ \t\r]*\n)/,
  },
];

/** uWebSockets.js refuses a request line that comes in two segments. */
const SPLIT_LINE = 'split request line';
/** It is not known whether a byte over 127 at the edge of a segment is at the end of a field that decides something. */
const SPLIT_VALUE = 'byte over 127 at the edge of a segment';

/** What a front end made of the bytes: the messages its handler saw. */
async function outcome(front: TestFront, bytes: Buffer, cut: number, quietMs: number): Promise<readonly string[]> {
  front.seen.length = 0;
  await new Promise<void>((resolve) => {
    const socket = connect({ port: front.port, host: '127.0.0.1', noDelay: true });
    let timer = setTimeout(() => socket.destroy(), quietMs);
    socket.on('error', () => {});
    socket.on('data', () => {
      clearTimeout(timer);
      timer = setTimeout(() => socket.destroy(), quietMs / 4);
    });
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.write(bytes.subarray(0, cut));
    if (cut < bytes.byteLength) setTimeout(() => socket.write(bytes.subarray(cut)), 1);
  });
  // uWebSockets.js reads values as UTF-8, node:http as Latin-1; neither changes what is ASCII.
  return front.seen.map((seen) =>
    JSON.stringify([
      seen.kind,
      seen.body.toString('latin1'),
      seen.token,
      seen.sessionId,
      seen.accepts,
      seen.foreignScheme,
      seen.paramHeaders,
    ]).replace(/[^\0-\x7f]+/g, '?'),
  );
}

/** Why the two may differ about these bytes; null = they may not. */
function allowance(uws: readonly string[], node: readonly string[], text: string, cut: number): string | null {
  // uWebSockets.js cuts a connection at a request behind one that is not answered.
  if (uws.length > 0 && uws.every((message, at) => message === node[at])) return 'pipelined';
  const serves = uws.length > 0 ? 'uws' : 'node';
  if (uws.length > 0 && node.length > 0) return null;
  if (serves === 'node' && !text.slice(0, cut).includes('\n')) return SPLIT_LINE;
  if (serves === 'node' && /[\x80-\xff]/.test(text.slice(cut - 1, cut + 1))) return SPLIT_VALUE;
  return ALLOWED.find((one) => one.serves === serves && one.pattern.test(text))?.reason ?? null;
}

/** One line of ASCII, to put into the table of rows. */
function describe(difference: object): string {
  return JSON.stringify(difference).replace(
    /[\x7f-\uffff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

test('both front ends serve the same requests', async (context) => {
  const pairs = await Promise.all(
    Array.from({ length: LANES }, async () => ({ uws: await openTestFront('uws'), node: await openTestFront('node') })),
  );
  context.after(() => Promise.all(pairs.flatMap(({ uws, node }) => [uws.close(), node.close()])));
  context.diagnostic(`seed ${SEED}`);
  const differences: string[] = [];
  const allowed = new Map<string, number>();
  let served = 0;
  let sent = 0;
  for (const cases of batches(4)) {
    const left = cases[Symbol.iterator]();
    await Promise.all(
      pairs.map(async ({ uws, node }) => {
        for (const one of left) {
          const bytes = apply(one);
          const both = (quietMs: number) =>
            Promise.all([outcome(uws, bytes, one.cut, quietMs), outcome(node, bytes, one.cut, quietMs)]);
          let [onUws, onNode] = await both(QUIET_MS);
          if (onUws.join() !== onNode.join()) [onUws, onNode] = await both(PATIENT_MS);
          sent += 1;
          if (onUws.length > 0) served += 1;
          if (onUws.join() === onNode.join()) continue;
          const text = bytes.toString('latin1');
          const reason = allowance(onUws, onNode, text, one.cut);
          if (reason === null) differences.push(describe({ text, cut: one.cut, onUws, onNode }));
          else allowed.set(reason, (allowed.get(reason) ?? 0) + 1);
        }
      }),
    );
    assert.deepEqual(differences, [], `seed ${SEED}`);
  }
  context.diagnostic(`${sent} sent, ${served} served, differences: ${JSON.stringify([...allowed])}`);
  assert.ok(served > sent / 20, `only ${served} of ${sent} were served`);
});
