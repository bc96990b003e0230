/** Bounds of everything that grows, rate limits and the response cache. */
import { z } from 'zod';
import { alias, bytes, flag, KIB, MIB, milliseconds, strings, whole } from './fields.js';

const limit = (fallback: number, text: string, max: number, min = 1) => whole(fallback, text, { min, max });

/** `limits` of the configuration. */
export const limitsSchema = z.strictObject({
  maxBodyBytes: bytes(4 * MIB, 'Largest request body. Larger ones are answered 413.', { min: KIB }),
  maxHeaderBytes: bytes(16 * KIB, 'Largest request head: request line and headers together.', {
    min: KIB,
    max: MIB,
  }),
  maxHeaders: limit(100, 'Header lines of one request.', 1_000, 8),
  maxDepth: limit(64, 'Nesting of arrays and objects in a JSON message.', 1_000, 8),
  maxBatch: limit(50, 'Messages in a JSON-RPC batch (clients of 2025-03-26 only).', 1_000),
  maxInFlight: limit(16_384, 'Requests in flight over all clients. More are answered 503.', 65_535),
  maxResponseBytes: bytes(256 * MIB, 'Largest answer of an HTTP upstream that is passed on in parts.', { min: KIB }),
  maxLineBytes: bytes(
    10 * MIB,
    'Largest message of an upstream that is held as a whole: one line over stdio, one message over HTTP with SSE or WebSocket, and over Streamable HTTP one event or JSON body that cannot be passed on in parts.',
    { min: KIB },
  ),
  maxBufferedBytes: bytes(
    256 * MIB,
    'Bytes held over all calls and streams: bodies on their way in, messages of calls under way, answers that are not complete, and what waits for clients and upstreams that are slow. When it is reached, those that hold the most are ended and requests over 16 KiB are answered 503.',
    { zero: 'no bound' },
  ),
  maxPipeBytes: bytes(16 * MIB, 'Bytes queued towards one upstream over stdio, HTTP with SSE or WebSocket.', {
    min: KIB,
  }),
  readBudgetBytes: bytes(
    256 * KIB,
    'Bytes that are read from one connection or child of an upstream before the others have their turn; a message counts as 1 KiB more than it has. An upstream that sends more is read in many small turns and held back meanwhile.',
    { min: 4 * KIB },
  ),
  maxNotificationsPerSecond: whole(
    40_000,
    'Messages that are no answers, taken from one endpoint of an upstream: progress, log messages, changes, its own requests (each counts as 100, a resource update as 10) and whatever cannot be read or attributed. As many again may come at once. Beyond it they are dropped and counted; list changes are not lost, and of resources and tasks that clients follow the last update is told as soon as there is room.',
    { max: 1_000_000_000, zero: 'no limit' },
  ),
  maxClientBufferBytes: bytes(MIB, 'Bytes queued towards one client before its upstream is paused.', { min: KIB }),
  slowClientMs: milliseconds(30_000, 'A client that takes no byte for so long is dropped.'),
  smallFrameRate: whole(
    1_000,
    'Frames of less than 64 bytes that one WebSocket may send a second; ten seconds of them may come at once. More close it with code 1008.',
    { max: 1_000_000, zero: 'no bound' },
  ),
  maxConnections: limit(10_000, 'Client connections open at once.', 1_000_000),
  maxSessions: limit(100_000, 'Sessions whose state is kept at once; the least recently used ends first.', 10_000_000),
  maxStreams: limit(
    10_000,
    'Event streams open at once: those of sessions and those of `subscriptions/listen`. They take no room from `maxInFlight`.',
    1_000_000,
  ),
  maxMemo: whole(65_536, 'Remembered verdicts.', { max: 16_777_216, zero: 'every call is decided in a worker' }),
  maxTools: limit(20_000, 'Catalog entries (tools, prompts, resources, templates) read from one upstream.', 1_000_000),
  maxPages: limit(1_000, 'Pages read from one list of an upstream.', 100_000),
  maxToolMetrics: whole(1_000, 'Tools with metrics of their own; the rest are counted as `other`.', {
    max: 100_000,
    zero: 'no tool has metrics of its own',
  }),
  drainMs: milliseconds(25_000, 'Time that requests in flight get to finish at shutdown.', {
    zero: 'they are cut off at once',
  }),
  workerHangMs: milliseconds(2_000, 'A policy worker whose ring does not move for so long is replaced.', { min: 100 }),
  ringBytes: bytes(4 * MIB, 'Size of each ring between the front and a worker.', { min: 64 * KIB, max: 256 * MIB }),
  decideMs: milliseconds(10_000, 'Time for the decision about one request, token verification included.'),
  maxServerRequests: limit(
    10_000,
    'Requests of upstreams that wait for answers of clients; one session has room for a tenth of them.',
    1_000_000,
  ),
  answerMs: milliseconds(
    600_000,
    'Time a client has to answer a request of an upstream (sampling, elicitation, roots). The time limit of the call rests meanwhile.',
  ),
  maxInputRounds: limit(8, 'Times an upstream of 2026-07-28 may ask an older client during one call.', 100),
  maxParked: limit(
    1_000,
    'Calls of clients of 2026-07-28 at once whose older upstream waits for an answer of the client. They take at most half of the `maxConnections` of an endpoint.',
    65_535,
  ),
  maxParkedPerPrincipal: limit(100, 'The same for one principal.', 65_535),
  parkMs: milliseconds(300_000, 'Time such a call waits for the answer before it is cancelled.'),
  maxHeldBytes: bytes(
    MIB,
    'A response of a Streamable HTTP upstream that is larger is passed on in parts as it comes; `maxResponseBytes` bounds the whole. If it breaks off midway, the connection of the client is cut.',
    { min: 16 * KIB },
  ),
  keepAliveMs: milliseconds(
    15_000,
    'Between comments on an event stream that has nothing to say, and between pings on WebSockets. A call that takes longer is answered as an event stream.',
    { zero: 'none' },
  ),
  maxRevoked: limit(
    10_000,
    'Tokens, subjects and sessions revoked at once. More are refused; none is forgotten before it expires by itself.',
    1_000_000,
  ),
  maxSubscriptions: limit(1_000, 'Resources and tasks that one session or one listen stream may follow.', 1_000_000),
});

/** `rate` tokens a second, `burst` at most. */
export const bucketSchema = z.strictObject({
  rate: z.number().positive().max(1e9).describe('Requests a second, fractions allowed (0.5 = one every two seconds).'),
  burst: alias(
    z
      .int()
      .min(1)
      .max(1e9)
      .optional()
      .describe('Requests that may come at once. Default: `rate` rounded up, at least 1.'),
    'capacity',
  ),
});

/** `rateLimits` of the configuration. */
export const rateLimitsSchema = z.strictObject({
  global: bucketSchema.optional().describe('For all requests together.'),
  perClient: bucketSchema
    .optional()
    .describe('For each client: the subject of its token, or its address without authentication.'),
  perTool: z
    .array(
      z.strictObject({
        tools: strings().describe('Globs over the names clients see.'),
        ...bucketSchema.shape,
      }),
    )
    .max(10_000)
    .default([])
    .describe('For the tools that match, all clients together. The first entry that matches counts.'),
  maxClients: whole(65_536, 'Clients whose buckets are kept at once.', { max: 16_777_216 }),
});

/** `cache` of the configuration. */
export const cacheSchema = z.strictObject({
  enabled: flag(true, 'Whether answers of routes with `cache` are stored at all.'),
  maxBytes: bytes(64 * MIB, 'Memory for stored answers in each worker.', { min: KIB }),
  maxEntryBytes: bytes(MIB, 'Largest answer that is stored.'),
  maxEntries: whole(10_000, 'Stored answers in each worker.', { max: 10_000_000 }),
  maxWaiters: whole(1_000, 'Callers that may wait for one identical call in flight; more are forwarded.', {
    max: 65_535,
    zero: 'identical calls are not coalesced',
  }),
  waitMs: milliseconds(10_000, 'How long they wait before the next one is forwarded.'),
});
