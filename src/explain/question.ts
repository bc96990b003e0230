/** The call that is explained, and the request record that a front would write for it. */
import { typescriptDecoder } from '../../native/index.js';
import { ScanStatus } from '../../native/layout.js';
import { pathsOf } from '../config/compile/views.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { Era, LATEST_LEGACY, Revision } from '../protocol/revisions.js';
import { judgedUri } from '../protocol/uri.js';
import { ATTRIBUTE_SEPARATOR, Caller, NOBODY, Scheme } from '../request/exchange/caller.js';
import { Exchange } from '../request/exchange/index.js';

/** What is called, and by whom. */
export interface ExplainedCall {
  /** `null` = without a credential. */
  readonly subject: string | null;
  readonly scopes: readonly string[];
  readonly permissions: readonly string[];
  /** `tools/call`, `prompts/get`, `resources/read`, or another method. */
  readonly method: string;
  /** Name or URI; '' = none. */
  readonly name: string;
  /** By name in any case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Path of the endpoint; '' = that of the first. */
  readonly path: string;
  /** `null` = none. */
  readonly arguments: Readonly<Record<string, unknown>> | null;
  /** Address of the client. */
  readonly address: string;
  /** The client speaks 2026-07-28. */
  readonly isModern: boolean;
}

/** The token that stands for whoever `subject` names. */
export const EXPLAINED_TOKEN = 'explain';

/** A call that cannot be explained; the message is a sentence. A TypeError, so that it is told from a failure behind a thread too. */
export class QuestionError extends TypeError {}

/** The exchange of a call and the body it would have. @throws QuestionError */
export function exchangeOf(call: ExplainedCall, snapshot: Snapshot): { exchange: Exchange; body: Buffer } {
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method: call.method, params: paramsOf(call) }));
  const exchange = new Exchange(0);
  const { client, message } = exchange;
  if (typescriptDecoder.scan(body, body.length, message.spans.words, snapshot.limits.maxDepth) !== ScanStatus.ok) {
    throw new QuestionError('this is no message that a client could send');
  }
  const isUri = call.method.startsWith('resources/');
  if (isUri && call.name !== '') message.decodedName = Buffer.from(judgedUri(call.name));
  client.era = call.isModern ? Era.modern : Era.legacy;
  client.revision = call.isModern ? Revision.r2026_07_28 : LATEST_LEGACY;
  client.remoteAddress = call.address;
  client.caller = callerOf(call, snapshot);
  return { exchange, body };
}

function paramsOf(call: ExplainedCall): object | undefined {
  const given = call.arguments === null ? {} : { arguments: call.arguments };
  if (call.name === '') return undefined;
  if (call.method.startsWith('resources/')) return { uri: call.name };
  if (call.method === 'completion/complete') {
    return { ref: { type: 'ref/prompt', name: call.name }, argument: { name: '', value: '' } };
  }
  return { name: call.name, ...given };
}

/** The view with an endpoint at a path; -1 = there is none. */
function viewAt(path: string, { views }: Snapshot): number {
  const exact = path === '' ? 0 : views.findIndex((view) => view.path === path);
  return exact < 0 ? views.findIndex(({ base }) => base === pathsOf(path).base) : exact;
}

function callerOf(call: ExplainedCall, snapshot: Snapshot): Caller {
  const view = viewAt(call.path, snapshot);
  if (view < 0) {
    const known = snapshot.views.map(({ path }) => path).join(', ');
    throw new QuestionError(`there is no endpoint at ${call.path}; there is ${known}`);
  }
  const sent = new Map(Object.entries(call.headers).map(([name, value]) => [name.toLowerCase(), value]));
  const values = snapshot.attributes.map((name) => sent.get(name) ?? '');
  const attributes = values.every((value) => value === '') ? '' : values.join(ATTRIBUTE_SEPARATOR);
  if (call.subject === null)
    return view === 0 && attributes === ''
      ? NOBODY
      : new Caller('', Scheme.none, view, attributes, snapshot.attributes);
  return new Caller(EXPLAINED_TOKEN, Scheme.bearer, view, attributes, snapshot.attributes);
}
