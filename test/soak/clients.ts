/** The clients of the soak: each does one random thing after the other until the end. */
import { type Message, modernHeaders, modernMessage, openSession, parseMessages } from '../support/rpc.js';
import type { Counts } from './counts.js';

/** Where the clients play. */
export interface Ground {
  readonly url: string;
  readonly counts: Counts;
  /** Prefixes of the servers; those that can ask the user are in both lists. */
  readonly servers: readonly string[];
  readonly asking: readonly string[];
  /** A number from 0 up to 1, from the seed of the run. */
  random(): number;
  over(): boolean;
}

/** A call without an answer for so long is lost. */
const LOST_MS = 45_000;
const LISTEN_MS = 2_000;
const ELICITATION = { elicitation: { form: {} } };

let nextKey = 0;

/** A text that nobody else uses in this run. */
function newKey(): string {
  nextKey += 1;
  return `k${nextKey}x${Math.floor(Math.random() * 1e9)}`;
}

function pick<T>(ground: Ground, from: readonly T[]): T {
  return from[Math.floor(ground.random() * from.length)]!;
}

/** Files the outcome of a call that should say `wanted`. */
function judge(ground: Ground, action: string, message: Message, wanted: string): void {
  const { counts } = ground;
  const got = message?.result?.content?.[0]?.text;
  if (got === wanted) counts.count('answered', action);
  else if (message?.error?.data?.retryable === true) counts.count('retryable', action);
  else if (message?.error?.data?.code === 'GW_INPUT_STATE') counts.count('retryable', action);
  else counts.fault(`${action}: wanted ${wanted}, got ${JSON.stringify(message)?.slice(0, 300)}`);
}

async function post(ground: Ground, message: Message, headers: Record<string, string>): Promise<Message[]> {
  const response = await fetch(ground.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify(message),
    signal: AbortSignal.timeout(LOST_MS),
  });
  return parseMessages(await response.text(), response.headers.get('content-type') ?? '');
}

async function modernCall(ground: Ground, name: string, args: object, more: object = {}): Promise<Message[]> {
  const message = modernMessage(
    'tools/call',
    { name, arguments: args, ...more },
    { id: newKey(), clientCapabilities: ELICITATION, meta: { progressToken: newKey() } },
  );
  const messages = await post(ground, message, modernHeaders(message));
  const last = messages.at(-1);
  if (last !== undefined && last.id !== message.id && last.id !== null) {
    ground.counts.fault(`a modern call got the answer to ${JSON.stringify(last.id)}`);
  }
  for (const { params } of messages.slice(0, -1)) {
    if (params?.progressToken !== message.params._meta.progressToken) ground.counts.fault('foreign progress');
    else ground.counts.count('notified', 'progress');
  }
  return messages;
}

async function modernEcho(ground: Ground): Promise<void> {
  const key = newKey();
  const messages = await modernCall(ground, `${pick(ground, ground.servers)}__echo`, { text: key });
  judge(ground, 'modern echo', messages.at(-1), key);
}

async function modernSlow(ground: Ground): Promise<void> {
  const key = newKey();
  const ms = 20 + ground.random() * 200;
  const messages = await modernCall(ground, `${pick(ground, ground.servers)}__slow`, { text: key, ms });
  judge(ground, 'modern slow', messages.at(-1), key);
}

/** Leaves in the middle of a call: closing the stream is the cancellation. */
async function modernCancel(ground: Ground): Promise<void> {
  const name = `${pick(ground, ground.servers)}__slow`;
  const message = modernMessage('tools/call', { name, arguments: { text: 'x', ms: 2_000 } }, { id: newKey() });
  const stop = new AbortController();
  setTimeout(() => stop.abort(), ground.random() * 200);
  try {
    const response = await fetch(ground.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...modernHeaders(message),
      },
      body: JSON.stringify(message),
      signal: stop.signal,
    });
    await response.text();
  } catch {
    // That is the point.
  }
  ground.counts.count('answered', 'modern cancelled');
}

/** Answers what the server asks, with a word of its own. */
async function modernAsk(ground: Ground): Promise<void> {
  const [key, word] = [newKey(), newKey()];
  const name = `${pick(ground, ground.asking)}__ask`;
  const [first] = (await modernCall(ground, name, { text: key })).slice(-1);
  const { resultType, inputRequests, requestState } = first?.result ?? {};
  if (resultType !== 'input_required') {
    judge(ground, `modern ask ${name}`, first, 'a question');
    return;
  }
  const [[question, asked]] = Object.entries(inputRequests) as [[string, Message]];
  if (asked.params.message !== `The word for ${key}?`)
    ground.counts.fault(`a question for another: ${asked.params.message}`);
  const inputResponses = { [question]: { action: 'accept', content: { word } } };
  const more = requestState === undefined ? { inputResponses } : { inputResponses, requestState };
  const messages = await modernCall(ground, name, { text: key }, more);
  judge(ground, 'modern ask', messages.at(-1), `${key} ${word}`);
}

/** Reads events until `enough` says so or the time is over. */
async function follow(response: Response, ms: number, event: (message: Message) => void): Promise<void> {
  const decoder = new TextDecoder();
  const reader = response.body!.getReader();
  const timer = setTimeout(() => void reader.cancel().catch(() => {}), ms);
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const end = rest.lastIndexOf('\n\n');
      if (end < 0) continue;
      for (const message of parseMessages(rest.slice(0, end + 2), 'text/event-stream')) event(message);
      rest = rest.slice(end + 2);
    }
  } catch {
    // The gateway never cuts a stream; the client does.
  } finally {
    clearTimeout(timer);
  }
}

/** Listens for a while and checks that everything is for this stream. */
async function modernListen(ground: Ground): Promise<void> {
  const id = newKey();
  const uri = `soak://${pick(ground, ground.servers)}/clock`;
  const notifications = { toolsListChanged: true, resourceSubscriptions: [uri] };
  const message = modernMessage('subscriptions/listen', { notifications }, { id });
  const response = await fetch(ground.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...modernHeaders(message),
    },
    body: JSON.stringify(message),
  });
  let acknowledged = false;
  await follow(response, LISTEN_MS * (0.5 + ground.random()), ({ method, params, result, error }) => {
    const tag = (params ?? result)?._meta?.['io.modelcontextprotocol/subscriptionId'];
    if (error !== undefined) return;
    if (tag !== id) ground.counts.fault(`a listen stream got what is tagged ${JSON.stringify(tag)}`);
    else if (method === 'notifications/subscriptions/acknowledged') acknowledged = true;
    else if (method === 'notifications/resources/updated' && params.uri !== uri)
      ground.counts.fault('foreign resource');
    else ground.counts.count('notified', `listen ${String(method).slice(14)}`);
  });
  if (acknowledged) ground.counts.count('answered', 'modern listen');
  else ground.counts.fault(`a listen was not acknowledged (${response.status})`);
}

/** One session: calls, answers to questions, cancellations; ended, or left without a word. */
async function legacySession(ground: Ground): Promise<void> {
  const session = await openSession(ground.url, { capabilities: ELICITATION });
  const followed = new Set<string>();
  const calls = 1 + Math.floor(ground.random() * 6);
  for (let call = 0; call < calls && !ground.over(); call += 1) {
    const chance = ground.random();
    if (chance < 0.4) {
      const key = newKey();
      const name = `${pick(ground, ground.servers)}__echo`;
      const { message } = await session.request('tools/call', { name, arguments: { text: key } }, { id: newKey() });
      judge(ground, 'legacy echo', message, key);
    } else if (chance < 0.6) {
      await legacyCancel(ground, session);
    } else if (chance < 0.8) {
      await legacyAsk(ground, session);
    } else {
      await legacyFollow(ground, session, followed);
    }
  }
  if (ground.random() < 0.5) await session.close();
}

type Session = Awaited<ReturnType<typeof openSession>>;

async function legacyCancel(ground: Ground, session: Session): Promise<void> {
  const id = newKey();
  const name = `${pick(ground, ground.servers)}__slow`;
  const call = session.request('tools/call', { name, arguments: { text: id, ms: 1_000 } }, { id });
  setTimeout(() => {
    session.notify('notifications/cancelled', { requestId: id }).catch(() => {});
  }, ground.random() * 300);
  const { message } = await call;
  // The cancellation may come too late, or before anything of the answer.
  if (message?.id !== undefined) judge(ground, 'legacy cancelled', message, id);
  else ground.counts.count('answered', 'legacy cancelled');
}

async function legacyAsk(ground: Ground, session: Session): Promise<void> {
  const [key, word, id] = [newKey(), newKey(), newKey()];
  const name = `${pick(ground, ground.asking)}__ask`;
  const response = await fetch(ground.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...session.headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: { text: key } } }),
  });
  if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
    judge(ground, `legacy ask ${name}`, JSON.parse(await response.text()), 'a question');
    return;
  }
  let last: Message;
  await follow(response, LOST_MS, (message) => {
    if (message.method === 'elicitation/create') {
      if (message.params.message !== `The word for ${key}?`) ground.counts.fault(`asked for ${message.params.message}`);
      const result = { action: 'accept', content: { word } };
      post(ground, { jsonrpc: '2.0', id: message.id, result }, session.headers).catch(() => {});
    } else if (message.id !== undefined) {
      last = message;
    }
  });
  judge(ground, 'legacy ask', last, `${key} ${word}`);
}

async function legacyFollow(ground: Ground, session: Session, followed: Set<string>): Promise<void> {
  const uri = `soak://${pick(ground, ground.servers)}/clock`;
  const { message } = await session.request('resources/subscribe', { uri }, { id: newKey() });
  if (message.error !== undefined) {
    if (message.error.data?.retryable === true) ground.counts.count('retryable', 'legacy subscribe');
    else ground.counts.fault(`subscribe: ${JSON.stringify(message.error)}`);
    return;
  }
  followed.add(uri);
  ground.counts.count('answered', 'legacy subscribe');
  const response = await fetch(ground.url, { headers: { accept: 'text/event-stream', ...session.headers } });
  if (response.status === 200) {
    await follow(response, 1_000, ({ method, params }) => {
      if (method === 'notifications/resources/updated' && !followed.has(params.uri))
        ground.counts.fault('foreign update');
      else ground.counts.count('notified', `session ${String(method).slice(14)}`);
    });
  } else {
    await response.text();
    ground.counts.fault(`a standalone stream was answered ${response.status}`);
  }
}

const ACTIONS: readonly ((ground: Ground) => Promise<void>)[] = [
  modernEcho,
  modernEcho,
  modernSlow,
  modernCancel,
  modernAsk,
  modernListen,
  legacySession,
  legacySession,
];

/** Plays until the ground is over. Errors of the network are faults: the gateway is always there. */
export async function play(ground: Ground): Promise<void> {
  while (!ground.over()) {
    const action = pick(ground, ACTIONS);
    try {
      await action(ground);
    } catch (error) {
      ground.counts.fault(`${action.name}: ${String((error as Error).cause ?? error)}`);
    }
  }
}
