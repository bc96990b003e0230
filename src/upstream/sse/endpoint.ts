import type { UrlEndpointSnapshot } from '../../config/snapshot/index.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import type { Breaker } from '../balance/breaker.js';
import { ChannelEndpoint } from '../channel/endpoint.js';
import type { Channel } from '../channel/index.js';
import type { Credentials } from '../core/credentials.js';
import type { EndpointContext, EndpointOwner } from '../core/endpoint.js';
import { detectionBackOff, noTransportReason, tryOtherTransport, withAddressAdvice } from '../core/http/detection.js';
import { addressOf } from '../core/http/heads.js';
import type { ConnectionProfile } from '../core/types.js';
import { HttpJunk } from '../http/junk.js';
import { SseChannel, type SseTarget } from './channel.js';

/** Refusals that suggest another transport or path; others, such as 401, suggest nothing. */
const WRONG_ADDRESS = /^answered (?:with no event stream|400|404|405)(?::|$)/;
/** Longest wait for the response to a POST where calls have no time limit. */
const LONGEST_POST_MS: Milliseconds = 300_000;

/** An upstream over HTTP with SSE (MCP 2024-11-05). */
export class SseEndpoint extends ChannelEndpoint {
  readonly transport = 'sse';
  protected readonly peerName = 'upstream';
  readonly #config: UrlEndpointSnapshot;
  readonly #credentials: Credentials;
  /** The transport was auto-detected and may be the wrong one. */
  readonly #isDetected: boolean;
  readonly #junk: HttpJunk;
  #last: SseChannel | null = null;

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number },
    config: UrlEndpointSnapshot,
    breaker: Breaker,
    profile: ConnectionProfile,
  ) {
    const isDetected = config.transport !== 'sse' && !profile.lazy;
    const backOff = isDetected ? detectionBackOff(config) : new BackOff();
    super(context, owner, { ...at, weight: config.weight }, breaker, profile, {
      budget: null,
      backOff,
      legacyOnly: true,
    });
    this.#isDetected = isDetected;
    this.#config = config;
    this.#credentials = context.credentials.of(owner.config, config, profile);
    this.#junk = new HttpJunk(this, context.log, this.names);
  }

  /** Some servers keep their streams open by events that are no messages. */
  override malformed(bytes: Uint8Array): void {
    this.#junk.skip(bytes, bytes.length);
  }

  override start(): void {
    // The upstream answered with no event stream: the other transport is tried again.
    if (this.#isDetected && this.#last?.isRefused === true) {
      tryOtherTransport(this.#config, this.reason);
      this.owner.wrongTransport?.(this);
      return;
    }
    super.start();
  }

  protected override reasonFor(reason: string): string {
    if (this.#last?.isRefused !== true) return reason;
    const shown = this.#isDetected ? noTransportReason(this.#config, reason) : reason;
    return WRONG_ADDRESS.test(reason) ? withAddressAdvice(this.#config, shown, true) : shown;
  }

  protected open(): Channel {
    const { context, owner } = this;
    const { connectTimeoutMs, requestTimeoutMs, maxConnections } = owner.config;
    const target: SseTarget = {
      ...addressOf(this.#config),
      credentials: this.#credentials,
      connectTimeoutMs,
      postTimeoutMs: Math.max(connectTimeoutMs, requestTimeoutMs || LONGEST_POST_MS),
      maxEventBytes: context.config.current.limits.maxLineBytes,
      budget: context.table.budget,
      maxQueuedBytes: context.config.current.limits.maxPipeBytes,
      maxPosts: maxConnections,
      turns: context.turns,
      decoder: context.decoder,
    };
    this.#last = new SseChannel(target, this);
    return this.#last;
  }
}
