import { Flag, Kind, Method, ScanStatus, SPAN_COUNT, Span } from '../../native/layout.js';
import type { StdioEndpointSnapshot } from '../config/snapshot.js';
import { Era } from '../protocol/revisions.js';
import type { Exchange } from '../request/exchange.js';
import type { Milliseconds } from '../units.js';
import { BackOff, RestartBudget } from './back-off.js';
import type { Breaker } from './balance.js';
import { CallQueue, recycle } from './call-queue.js';
import {
  ControlError,
  type ControlReply,
  controlMessage,
  FIRST_CALL_ID,
  PendingControls,
  parseId,
  UPSTREAM_DEPTH,
} from './control.js';
import { BaseEndpoint, type EndpointContext, type EndpointOwner } from './endpoint.js';
import { escaped, LogLimit } from './log-limit.js';
import { LogOwnership } from './log-ownership.js';
import { answerToRequest, updatedUri } from './server-messages.js';
import { childEnvironment } from './stdio-environment.js';
import { greetStdio, ProbeEnded } from './stdio-handshake.js';
import { LineSplitter } from './stdio-lines.js';
import { StdioProcess } from './stdio-process.js';
import { ErrorLines } from './stdio-stderr.js';
import { StdioWriter } from './stdio-writer.js';
import type { LaneProfile } from './types.js';

/** How long a child that was restarted too often is left alone. */
const HOLD_MS: Milliseconds = 60_000;
/** A child that has been ready for so long starts over with its restarts. */
const STABLE_MS: Milliseconds = 10_000;

/** One stdio child with many calls in flight; restarted when it ends. */
export class StdioEndpoint extends BaseEndpoint {
  readonly transport = 'stdio';
  readonly #config: StdioEndpointSnapshot;
  readonly #spans = new Int32Array(SPAN_COUNT);
  readonly #controls = new PendingControls();
  readonly #queue: CallQueue;
  readonly #backOff = new BackOff();
  readonly #listenBackOff = new BackOff();
  readonly #budget = new RestartBudget();
  readonly #ownership = new LogOwnership();
  readonly #junkLimit = new LogLimit();
  readonly #stderrLimit = new LogLimit(50);
  #process: StdioProcess | null = null;
  #writer: StdioWriter | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** The child ends when it sees a request before `initialize`: it is not probed again. */
  #legacyOnly = false;
  #readyAt: Milliseconds = 0;
  /** Why the gateway itself ended the child, '' if it did not. */
  #complaint = '';
  #stopping = false;
  /** Calls written to the child and not answered. */
  #active = 0;
  /** The call that was written last. */
  #last: Exchange | null = null;
  #listenId = 0;

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number },
    config: StdioEndpointSnapshot,
    breaker: Breaker,
    profile: LaneProfile,
  ) {
    super(context, owner, { ...at, weight: config.weight }, breaker, profile);
    this.#config = config;
    this.#queue = new CallQueue(owner.config.maxQueue);
  }

  start(): void {
    if (this.#stopping) return;
    this.setState('connecting', '');
    this.#complaint = '';
    const splitter = new LineSplitter(this.context.limits.maxLineBytes, {
      line: (bytes) => this.#line(bytes),
      lineTooLong: () => this.#lineTooLong(),
    });
    const errors = new ErrorLines((line) => this.#errorLine(line));
    let child: StdioProcess;
    try {
      child = this.#spawn(splitter, errors);
    } catch (error) {
      // What the system refuses outright, such as a null byte in an argument.
      this.#restart(`cannot be started (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
      return;
    }
    this.#process = child;
    this.#writer = new StdioWriter(child.stdin, this.context.limits.maxPipeBytes);
    this.context.log.info({ ...this.names, pid: child.pid, command: this.#config.command }, 'stdio child started');
    void this.#greet(child);
  }

  #spawn(splitter: LineSplitter, errors: ErrorLines): StdioProcess {
    const { command, args, env, cwd } = this.#config;
    const child: StdioProcess = new StdioProcess(
      { command, args, env: childEnvironment(process.env, env), cwd },
      this.context.stopGraceMs,
      {
        output: (chunk) => splitter.feed(chunk),
        errorOutput: (chunk) => errors.feed(chunk),
        ended: (reason) => {
          splitter.end();
          this.#ended(child, reason);
        },
      },
    );
    return child;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.setState('stopped', '');
    await this.#process?.stop();
  }

  call(exchange: Exchange, bytes: Buffer, method: number): void {
    this.accept(exchange);
    if (this.state !== 'ready' || this.#writer === null) {
      this.context.later.add(this, exchange, 'GW_UPSTREAM_DOWN');
    } else if (this.#active >= this.owner.config.maxConnections) {
      if (!this.#queue.push(exchange, bytes, method, '', null))
        this.context.later.add(this, exchange, 'GW_UPSTREAM_BUSY');
    } else {
      this.#send(exchange, bytes);
    }
  }

  /** A child's output is shared by all its calls: one slow client must not hold back the others. */
  pause(): void {}
  resume(): void {}

  request(method: string, params: object | null, options: { timeoutMs: Milliseconds }): Promise<ControlReply> {
    return this.#request(method, params, options.timeoutMs, this.era === Era.modern);
  }

  reply(bytes: Buffer): void {
    this.#writer?.write(bytes, null);
  }

  details(): Record<string, unknown> {
    return {
      pid: this.#process?.pid ?? null,
      queued: this.#queue.size,
      pipeBytes: this.#writer?.queued ?? 0,
    };
  }

  override tick(now: Milliseconds): void {
    if (this.#readyAt > 0 && now - this.#readyAt > STABLE_MS) {
      this.#readyAt = 0;
      this.#backOff.reset();
      this.#listenBackOff.reset();
    }
  }

  protected withdraw(exchange: Exchange): void {
    if (this.#queue.remove(exchange)) return;
    // A call that failed at once (child down, pipe full) waits for its report and was never counted.
    if (exchange.connection === null || exchange.connection !== this.#process) return;
    if (!this.#writer?.withdraw(exchange)) this.#notify('notifications/cancelled', { requestId: exchange.upstreamId });
    this.#settled(exchange);
  }

  #send(exchange: Exchange, bytes: Buffer): void {
    if (!this.#writer!.write(bytes, exchange)) {
      this.context.later.add(this, exchange, 'GW_UPSTREAM_BUSY');
      return;
    }
    this.#active += 1;
    this.#last = exchange;
    exchange.connection = this.#process;
    this.#ownership.seen(exchange);
  }

  /** A call is over: the next one that waits may go. */
  #settled(exchange: Exchange): void {
    this.#active -= 1;
    this.#ownership.seen(exchange);
    // More than one where the pipe is full: those that fail at once end nothing that would let the next one go.
    while (this.#queue.size > 0 && this.state === 'ready' && this.#active < this.owner.config.maxConnections) {
      const next = this.#queue.shift();
      if (next === null) return;
      const waiting = next.exchange!;
      const { bytes } = next;
      recycle(next);
      this.#send(waiting, bytes);
    }
  }

  async #greet(child: StdioProcess): Promise<void> {
    const { connectTimeoutMs } = this.owner.config;
    try {
      const handshake = await greetStdio(
        (method, params, timeoutMs, modern) => this.#request(method, params, timeoutMs, modern),
        (method) => this.#notify(method, null),
        { legacyOnly: this.#legacyOnly, timeoutMs: connectTimeoutMs },
      );
      if (this.#process !== child || this.#stopping) return;
      this.#readyAt = performance.now();
      this.greeted(handshake);
      this.#listen();
    } catch (error) {
      this.#legacyOnly = error instanceof ProbeEnded;
      if (this.#process !== child || this.#stopping) return;
      this.#complaint = `the handshake failed: ${(error as Error).message}`;
      void child.terminate();
    }
  }

  #request(method: string, params: object | null, timeoutMs: Milliseconds, modern: boolean): Promise<ControlReply> {
    const { id, reply } = this.#controls.open(timeoutMs);
    if (!this.#writer?.write(controlMessage(id, method, params, modern), null)) {
      return Promise.reject(new ControlError('closed', 'the child takes no input'));
    }
    return reply;
  }

  #notify(method: string, params: object | null): void {
    this.#writer?.write(controlMessage(null, method, params, false), null);
  }

  /** Modern: changes come only on a subscription (MCP 2026-07-28, subscriptions/listen). */
  #listen(): void {
    if (this.era !== Era.modern) return;
    const notifications = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
    const { id, reply } = this.#controls.open(2 ** 31 - 1);
    this.#listenId = id;
    this.#writer?.write(controlMessage(id, 'subscriptions/listen', { notifications }, true), null);
    // An orderly end or an error: the server offers no such subscription. It is not asked again.
    reply.then(
      () => {},
      () => {},
    );
  }

  /** The child took the subscription back; it is asked again, ever more slowly. */
  #listenAgain(): void {
    this.#listenId = 0;
    const child = this.#process;
    setTimeout(() => {
      if (this.#process !== child || this.state !== 'ready') return;
      this.#listen();
      this.owner.listChanged(this);
    }, this.#listenBackOff.next());
  }

  #line(bytes: Buffer): void {
    const spans = this.#spans;
    const status = this.context.decoder.scan(bytes, bytes.length, spans, UPSTREAM_DEPTH);
    if (status !== ScanStatus.ok) {
      this.#junk(bytes, status, spans);
      return;
    }
    switch (spans[Span.kind]) {
      case Kind.response:
        this.#response(bytes, spans);
        break;
      case Kind.notification:
        this.#notification(bytes, spans);
        break;
      case Kind.request:
        this.#writer?.write(answerToRequest(bytes, spans), null);
        break;
      default:
        this.#junk(bytes, ScanStatus.notJsonRpc, spans);
    }
  }

  #response(bytes: Buffer, spans: Int32Array): void {
    const id = parseId(bytes, spans[Span.idStart]!, spans[Span.idEnd]!);
    if (id >= 0 && id < FIRST_CALL_ID) {
      if (!this.#controls.settle(id, bytes, bytes.length, spans)) this.stats.unknownIds += 1;
      return;
    }
    const exchange = this.callOf(id);
    if (exchange === null || exchange.connection !== this.#process) {
      this.stats.unknownIds += 1;
      return;
    }
    this.#settled(exchange);
    this.finish(exchange, bytes, bytes.length, spans);
  }

  #notification(bytes: Buffer, spans: Int32Array): void {
    switch (spans[Span.method]) {
      case Method.progress: {
        const token = parseId(bytes, spans[Span.progressTokenStart]!, spans[Span.progressTokenEnd]!);
        const exchange = this.callOf(token);
        if (exchange === null) this.stats.unknownIds += 1;
        else this.relay(exchange, bytes, bytes.length, spans, true);
        break;
      }
      case Method.message:
        this.#logMessage(bytes, spans);
        break;
      case Method.toolsListChanged:
      case Method.promptsListChanged:
      case Method.resourcesListChanged:
        this.owner.listChanged(this);
        break;
      case Method.resourceUpdated: {
        const uri = updatedUri(bytes, bytes.length);
        if (uri !== null) this.owner.resourceUpdated(this, uri, bytes, bytes.length);
        break;
      }
      case Method.cancelled: {
        const id = parseId(bytes, spans[Span.requestIdStart]!, spans[Span.requestIdEnd]!);
        if (id > 0 && id === this.#listenId) this.#listenAgain();
        break;
      }
    }
  }

  /** Log messages name no request: they go to the one call in flight, if nobody else's can be meant. */
  #logMessage(bytes: Buffer, spans: Int32Array): void {
    const only = this.#active === 1 && this.#ownership.exclusive() ? this.#onlyCall() : null;
    if (only === null) this.stats.droppedLogs += 1;
    else this.relay(only, bytes, bytes.length, spans, false);
  }

  #onlyCall(): Exchange | null {
    const last = this.#last;
    if (last !== null && this.holds(last) && last.connection === this.#process) return last;
    const written = this.calls().filter((exchange) => exchange.connection === this.#process);
    return written.length === 1 ? written[0]! : null;
  }

  #junk(bytes: Buffer, status: number, spans: Int32Array): void {
    this.stats.junkLines += 1;
    const suppressed = this.#junkLimit.admit(performance.now());
    if (suppressed >= 0) {
      this.context.log.warn(
        { ...this.names, line: escaped(bytes), suppressed },
        'stdio child wrote a line that is no message',
      );
    }
    if (status === ScanStatus.notJson || spans[Span.idStart]! < 0) return;
    // JSON with an id of ours, but no answer that can be passed on: the caller need not wait for the deadline.
    const exchange = this.callOf(parseId(bytes, spans[Span.idStart]!, spans[Span.idEnd]!));
    if (exchange === null || exchange.connection !== this.#process) return;
    if ((spans[Span.flags]! & Flag.idIsString) !== 0) return;
    this.#settled(exchange);
    this.fail(exchange, 'GW_UPSTREAM_PROTOCOL', true);
  }

  #lineTooLong(): void {
    const child = this.#process;
    if (child === null) return;
    this.context.log.warn(
      { ...this.names, maxLineBytes: this.context.limits.maxLineBytes },
      'stdio child wrote a line over the limit',
    );
    this.#complaint = 'wrote a line over limits.maxLineBytes';
    this.setState('backoff', this.#complaint);
    this.#failCalls('GW_UPSTREAM_PROTOCOL');
    void child.terminate();
  }

  #errorLine(stderr: string): void {
    const suppressed = this.#stderrLimit.admit(performance.now());
    if (suppressed >= 0) this.context.log.info({ ...this.names, stderr, suppressed }, 'stdio child says');
  }

  #ended(child: StdioProcess, reason: string): void {
    if (this.#process !== child) return;
    this.#writer?.close();
    this.#writer = null;
    this.#process = null;
    this.#readyAt = 0;
    this.#listenId = 0;
    this.#controls.failAll(new ControlError('closed', `the child ${reason}`));
    // The state comes first: calls that fail over must not come back here.
    if (!this.#stopping) {
      this.stats.restarts += 1;
      this.#restart(this.#complaint === '' ? reason : this.#complaint);
    }
    this.#failCalls('GW_UPSTREAM_CLOSED');
  }

  #restart(reason: string): void {
    if (!this.#budget.spend(performance.now())) {
      this.setState('failed', reason);
      this.#timer = setTimeout(() => {
        this.#budget.reset();
        this.#backOff.reset();
        this.start();
      }, HOLD_MS);
      return;
    }
    this.setState('backoff', reason);
    this.#timer = setTimeout(() => this.start(), this.#backOff.next());
  }

  #failCalls(error: 'GW_UPSTREAM_CLOSED' | 'GW_UPSTREAM_PROTOCOL'): void {
    if (this.inFlight === 0) return;
    this.#active = 0;
    while (true) {
      const waiting = this.#queue.shift();
      if (waiting === null) break;
      recycle(waiting);
    }
    for (const exchange of this.calls()) this.fail(exchange, exchange.sent ? error : 'GW_UPSTREAM_DOWN', exchange.sent);
  }
}
