/** Limits of everything that grows. */
import { z } from 'zod';
import { bytes, KIB, MIB, milliseconds, whole } from './fields.js';

const limit = (fallback: number, text: string, max: number, min = 1) => whole(fallback, text, { min, max });

/** `limits` of the configuration. */
export const limitsSchema = z.strictObject({
  maxBodyBytes: bytes(
    16 * MIB,
    'Largest message of a client: a request body, which is answered 413 beyond it, a WebSocket message or a line.',
    { min: KIB },
  ),
  maxHeaderBytes: bytes(16 * KIB, 'Largest request head: request line and headers together.', {
    min: KIB,
    max: MIB,
  }),
  maxHeaders: limit(100, 'Header lines of one request.', 1_000, 8),
  maxDepth: limit(64, 'Nesting of arrays and objects in a JSON message.', 1_000, 8),
  maxBatch: limit(50, 'Messages in a JSON-RPC batch (clients of 2025-03-26 only).', 1_000),
  maxInFlight: limit(16_384, 'Requests in flight over all clients. More are answered 503.', 65_535),
  maxResponseBytes: bytes(256 * MIB, 'Largest answer of an HTTP upstream that is forwarded in parts.', { min: KIB }),
  maxLineBytes: bytes(
    64 * MIB,
    'Largest message of an upstream that is held as a whole: one line over stdio, one message over HTTP with SSE or WebSocket, and over Streamable HTTP one event or JSON body that cannot be forwarded in parts. A larger one is skipped as it arrives and fails its call alone; `maxBufferedBytes` bounds all together.',
    { min: KIB },
  ),
  maxBufferedBytes: bytes(
    256 * MIB,
    'Bytes held over all calls and streams: request bodies, messages of calls in flight, incomplete answers, and data queued for slow clients and upstreams. When it is reached, the largest holders are ended and requests over 16 KiB are answered 503.',
    { zero: 'no bound' },
  ),
  maxPipeBytes: bytes(32 * MIB, 'Bytes queued towards one upstream over stdio, HTTP with SSE or WebSocket.', {
    min: KIB,
  }),
  readBudgetBytes: bytes(
    256 * KIB,
    'Bytes that are read from one connection or child of an upstream before the others are read; each message counts 1 KiB besides its length. An upstream that sends more is paused between its turns.',
    { min: 4 * KIB },
  ),
  maxNotificationsPerSecond: whole(
    40_000,
    'Messages other than responses, accepted from one endpoint of an upstream: progress, log messages, changes, its requests (each counts as 100, a resource update as 10) and messages that are invalid or cannot be attributed. The burst is one second of them. Beyond it they are dropped and counted; list changes are not lost, and the last update of a followed resource or task is sent later.',
    { max: 1_000_000_000, zero: 'no limit' },
  ),
  maxClientBufferBytes: bytes(MIB, 'Bytes queued towards one client before its upstream is paused.', { min: KIB }),
  slowClientMs: milliseconds(30_000, 'A client that reads no byte for this time is disconnected.'),
  smallFrameRate: whole(
    1_000,
    'Frames of less than 64 bytes that one WebSocket may send a second; the burst is ten seconds of them. More close it with code 1008.',
    { max: 1_000_000, zero: 'no bound' },
  ),
  maxConnections: limit(10_000, 'Client connections open at once.', 1_000_000),
  maxSessions: limit(100_000, 'Sessions whose state is kept at once; the least recently used ends first.', 10_000_000),
  maxStreams: limit(
    10_000,
    'Event streams open at once: those of sessions and those of `subscriptions/listen`. They do not count for `maxInFlight`.',
    1_000_000,
  ),
  maxSessionStreams: limit(
    4,
    'Event streams (GET) that one session may have open at once. Messages go to the newest; a further one ends the oldest. 1 = a new stream always ends the one before.',
    100,
  ),
  maxMemo: whole(65_536, 'Remembered verdicts.', { max: 16_777_216, zero: 'every call is decided in a worker' }),
  maxTools: limit(20_000, 'Catalog entries (tools, prompts, resources, templates) read from one upstream.', 1_000_000),
  maxPages: limit(1_000, 'Pages read from one list of an upstream.', 100_000),
  maxToolMetrics: whole(1_000, 'Tools with their own metrics; the rest are counted as `other`.', {
    max: 100_000,
    zero: 'no tool has its own metrics',
  }),
  drainMs: milliseconds(25_000, 'Time that requests in flight have to finish at shutdown.', {
    zero: 'they are ended at once',
  }),
  workerHangMs: milliseconds(2_000, 'A policy worker without progress on its ring for this time is replaced.', {
    min: 100,
  }),
  ringBytes: bytes(4 * MIB, 'Size of each ring between the front and a worker.', { min: 64 * KIB, max: 256 * MIB }),
  decideMs: milliseconds(10_000, 'Time for the decision about one request, token verification included.'),
  maxServerRequests: limit(
    10_000,
    'Requests of upstreams that wait for responses of clients; one session may have a tenth of them.',
    1_000_000,
  ),
  answerMs: milliseconds(
    600_000,
    'Time a client has to answer a request of an upstream (sampling, elicitation, roots). The time limit of the call is suspended meanwhile.',
  ),
  maxInputRounds: limit(
    8,
    'Rounds of input that an upstream of 2026-07-28 may request of an older client during one call.',
    100,
  ),
  maxParked: limit(
    1_000,
    'Parked calls: those of clients of 2026-07-28 whose older upstream waits for input of the client. They use at most half of the `maxConnections` of an endpoint.',
    65_535,
  ),
  maxParkedPerPrincipal: limit(100, 'The same for one principal.', 65_535),
  maxClientLists: limit(
    256,
    'Different lists of one server, and combinations of such lists, that are kept for clients with dedicated children or sessions, and different sets of entries that are hidden from clients; the ones that were listed least recently are dropped.',
    65_535,
  ),
  maxListBytes: bytes(
    64 * MIB,
    'Memory for the lists of clients that may not call everything. Those that were used least recently are dropped, and made again when they are asked for.',
  ),
  parkMs: milliseconds(300_000, 'Time a parked call waits for the input before it is cancelled.'),
  taskMs: milliseconds(
    3_600_000,
    'Time that the gateway waits for a task that it has made for a client whose call asked for none; then the task is cancelled.',
  ),
  maxHeldBytes: bytes(
    MIB,
    'A larger response of a Streamable HTTP upstream is forwarded in parts as it arrives; `maxResponseBytes` limits the whole. If it is truncated, the connection of the client is closed.',
    { min: 16 * KIB },
  ),
  keepAliveMs: milliseconds(
    15_000,
    'Interval of comments on an idle event stream, and of pings on WebSockets. A call that takes longer is answered as an event stream.',
    { zero: 'none' },
  ),
  maxRevoked: limit(
    10_000,
    'Tokens, subjects and sessions revoked at once. More are refused; no revocation is dropped before its token expires.',
    1_000_000,
  ),
  maxSubscriptions: limit(1_000, 'Resources and tasks that one session or one listen stream may follow.', 1_000_000),
  maxManifestBytes: bytes(
    16 * MIB,
    'Size of `catalog.manifestFile`; servers whose lists do not fit are left out of it. Also of `catalog.pinning.lock`, which is refused when it is larger.',
    {
      min: KIB,
    },
  ),
});
