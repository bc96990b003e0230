import type { UrlEndpointSnapshot } from '../../config/snapshot/index.js';
import { BackOff } from '../balance/back-off.js';
import type { Breaker } from '../balance/breaker.js';
import { ChannelEndpoint } from '../channel/endpoint.js';
import type { Channel } from '../channel/index.js';
import type { Credentials } from '../core/credentials.js';
import type { EndpointContext, EndpointOwner } from '../core/endpoint.js';
import type { ConnectionProfile } from '../core/types.js';
import { WebSocketChannel, webSocketTarget } from './channel.js';

/** An upstream over WebSocket, a custom transport with the semantics of stdio; connected again when it ends. */
export class WebSocketEndpoint extends ChannelEndpoint {
  readonly transport = 'websocket';
  protected readonly peerName = 'upstream';
  readonly #config: UrlEndpointSnapshot;
  readonly #credentials: Credentials;

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number },
    config: UrlEndpointSnapshot,
    breaker: Breaker,
    profile: ConnectionProfile,
  ) {
    const options = { budget: null, backOff: new BackOff(), legacyOnly: false };
    super(context, owner, { ...at, weight: config.weight }, breaker, profile, options);
    this.#config = config;
    this.#credentials = context.credentials.of(owner.config, config, profile);
  }

  protected open(): Channel {
    const target = webSocketTarget(this.#config, this.#credentials, this.owner.config.connectTimeoutMs, this.context);
    return new WebSocketChannel(target, this);
  }
}
