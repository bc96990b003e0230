import type { UrlEndpointSnapshot } from '../../config/snapshot.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import type { Breaker } from '../balance/breaker.js';
import { ChannelEndpoint } from '../channel/endpoint.js';
import type { Channel } from '../channel/index.js';
import { detectionBackOff, neitherReason, tryOtherTransport } from '../core/detection.js';
import type { EndpointContext, EndpointOwner } from '../core/endpoint.js';
import { withCredentials } from '../core/http-heads.js';
import type { ConnectionProfile } from '../core/types.js';
import { SseChannel, type SseTarget } from './channel.js';

/** How long the answer to a POST is waited for where calls have no time limit. */
const LONGEST_POST_MS: Milliseconds = 300_000;

/** An upstream over HTTP with SSE (MCP 2024-11-05); the stream is opened again when it ends. */
export class SseEndpoint extends ChannelEndpoint {
  readonly transport = 'sse';
  protected readonly noun = 'upstream';
  readonly #config: UrlEndpointSnapshot;
  /** The transport was found out, and may have been taken for another one. */
  readonly #guessed: boolean;
  #last: SseChannel | null = null;

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number },
    config: UrlEndpointSnapshot,
    breaker: Breaker,
    profile: ConnectionProfile,
  ) {
    const guessed = config.transport !== 'sse' && !profile.lazy;
    const backOff = guessed ? detectionBackOff(config) : new BackOff();
    super(context, owner, { ...at, weight: config.weight }, breaker, profile, {
      budget: null,
      backOff,
      legacyOnly: true,
    });
    this.#guessed = guessed;
    this.#config = config;
  }

  override start(): void {
    // Whatever it was before, it is no event stream now: the other transport has its turn again.
    if (this.#guessed && this.#last?.refused === true) {
      tryOtherTransport(this.#config, this.reason);
      this.owner.wrongTransport?.(this);
      return;
    }
    super.start();
  }

  protected override reasonFor(reason: string): string {
    return this.#guessed && this.#last?.refused === true ? neitherReason(this.#config, reason) : reason;
  }

  protected open(): Channel {
    const { context, owner } = this;
    const url = new URL(this.#config.url);
    const headers = withCredentials(this.#config.headers, url);
    url.username = '';
    url.password = '';
    const { connectTimeoutMs, requestTimeoutMs, maxConnections } = owner.config;
    const target: SseTarget = {
      url,
      headers,
      connectTimeoutMs,
      postTimeoutMs: Math.max(connectTimeoutMs, requestTimeoutMs || LONGEST_POST_MS),
      maxEventBytes: context.limits.maxLineBytes,
      budget: context.table.budget,
      maxQueuedBytes: context.limits.maxPipeBytes,
      maxPosts: maxConnections,
      turns: context.turns,
    };
    this.#last = new SseChannel(target, this.listener);
    return this.#last;
  }
}
