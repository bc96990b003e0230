import type { StdioEndpointSnapshot } from '../../config/snapshot/index.js';
import { BackOff, RestartBudget } from '../balance/back-off.js';
import type { Breaker } from '../balance/breaker.js';
import { ChannelEndpoint } from '../channel/endpoint.js';
import type { Channel } from '../channel/index.js';
import type { EndpointContext, EndpointOwner } from '../core/endpoint.js';
import { escaped, LogLimit } from '../core/limits/log-limit.js';
import { withExcerpt } from '../core/reasons.js';
import type { ConnectionProfile } from '../core/types.js';
import { StdioChannel } from './channel.js';
import { startFault } from './program.js';
import { type ErrorLineListener, LastLines, MAX_ERROR_LINE_BYTES } from './stderr.js';

/** One stdio child with many calls in flight, restarted when it ends. */
export class StdioEndpoint extends ChannelEndpoint implements ErrorLineListener {
  readonly transport = 'stdio';
  protected readonly peerName = 'stdio child';
  readonly #config: StdioEndpointSnapshot;
  readonly #stderrLimit = new LogLimit(50);
  readonly #lastErrors = new LastLines();

  constructor(
    context: EndpointContext,
    owner: EndpointOwner,
    at: { server: number; index: number },
    config: StdioEndpointSnapshot,
    breaker: Breaker,
    profile: ConnectionProfile,
  ) {
    const options = { budget: new RestartBudget(), backOff: new BackOff(), legacyOnly: false };
    super(context, owner, { ...at, weight: config.weight }, breaker, profile, options);
    this.#config = config;
  }

  protected open(): Channel {
    this.#lastErrors.clear();
    const channel = new StdioChannel(this.#config, this.context, this, this);
    this.context.log.info(
      { ...this.names, pid: channel.pid, command: this.#config.shownCommand },
      'stdio child started',
    );
    return channel;
  }

  protected override reasonFor(reason: string): string {
    const fault = reason.startsWith('cannot be started') ? startFault(this.#config, reason) : reason;
    return fault.startsWith('cannot be started') ? fault : withExcerpt(fault, this.#lastErrors.text);
  }

  errorLine(line: Buffer): void {
    this.#lastErrors.add(line);
    const suppressed = this.#stderrLimit.admit(performance.now());
    if (suppressed < 0) return;
    const stderr = escaped(line, MAX_ERROR_LINE_BYTES);
    this.context.log.info({ ...this.names, stderr, suppressed }, 'stdio child wrote to standard error');
  }
}
