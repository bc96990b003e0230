import type { UrlEndpointSnapshot } from '../config/snapshot.js';
import { BackOff } from './back-off.js';
import type { Breaker } from './balance.js';
import type { Channel } from './channel.js';
import { ChannelEndpoint } from './channel-endpoint.js';
import { detectionBackOff, neitherReason, tryOtherTransport } from './detection.js';
import type { EndpointContext, EndpointOwner } from './endpoint.js';
import { withCredentials } from './http-heads.js';
import { SseChannel, type SseTarget } from './sse-channel.js';
import type { LaneProfile } from './types.js';

/** An upstream over HTTP with SSE (MCP 2024-11-05); the stream is opened again when it ends. */
export class SseEndpoint extends ChannelEndpoint {
  readonly transport = 'sse';
  protected readonly noun = 'upstream';
  readonly #config: UrlEndpointSnapshot;
  /** The transport was found out, and may have been taken for another one. */
  readonly #guessed: boolean;
  readonly #target: SseTarget;
  #last: SseChannel | null = null;

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number },
    config: UrlEndpointSnapshot,
    breaker: Breaker,
    profile: LaneProfile,
  ) {
    const guessed = config.transport !== 'sse' && !profile.lazy;
    const backOff = guessed ? detectionBackOff(config) : new BackOff();
    super(context, owner, { ...at, weight: config.weight }, breaker, profile, {
      budget: null,
      backOff,
      legacyOnly: true,
    });
    this.#guessed = guessed;
    const url = new URL(config.url);
    const headers = withCredentials(config.headers, url);
    url.username = '';
    url.password = '';
    this.#config = config;
    this.#target = {
      url,
      headers,
      connectTimeoutMs: owner.config.connectTimeoutMs,
      maxEventBytes: context.limits.maxLineBytes,
      maxQueuedBytes: context.limits.maxPipeBytes,
      maxPosts: owner.config.maxConnections,
    };
  }

  override start(): void {
    // Whatever it was before, it is no event stream now: the other transport has its turn again.
    if (this.#guessed && this.#last?.refused === true) {
      tryOtherTransport(this.#config, this.reason);
      this.owner.unsuited?.(this);
      return;
    }
    super.start();
  }

  protected override reasonFor(reason: string): string {
    return this.#guessed && this.#last?.refused === true ? neitherReason(this.#config, reason) : reason;
  }

  protected open(): Channel {
    this.#last = new SseChannel(this.#target, this.listener);
    return this.#last;
  }
}
