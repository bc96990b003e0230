import { MODERN, REVISIONS } from '../../protocol/revisions.js';

const VERSION_KEY = `"io.modelcontextprotocol/protocolVersion":"${REVISIONS[MODERN]}"`;

/**
 * The members that a legacy session's calls carry in `params._meta` towards modern upstreams (MCP 2026-07-28, per-request
 * metadata), ready for each place where a message may lack them. Made once for a session and log level.
 */
export class Envelope {
  /** `"io.modelcontextprotocol/protocolVersion":"…",…`: for an empty `_meta`. */
  readonly members: Buffer;
  /** For a `_meta` that has members. */
  readonly beforeMembers: Buffer;
  /** In place of a `_meta` that is no object. */
  readonly object: Buffer;
  /** For empty `params`. */
  readonly meta: Buffer;
  /** For `params` that have members, but no `_meta`. */
  readonly metaBeforeMembers: Buffer;
  /** For a message without `params`, behind another member. */
  readonly params: Buffer;

  /** @param members see {@link Envelope.members} */
  constructor(members: string) {
    this.members = Buffer.from(members);
    this.beforeMembers = Buffer.from(`${members},`);
    this.object = Buffer.from(`{${members}}`);
    this.meta = Buffer.from(`"_meta":{${members}}`);
    this.metaBeforeMembers = Buffer.from(`"_meta":{${members}},`);
    this.params = Buffer.from(`,"params":{"_meta":{${members}}}`);
  }
}

/**
 * The envelope of a session.
 *
 * @param clientInfo raw JSON of the client's `clientInfo`, may be empty
 * @param capabilities what the client can be asked for, as 2026-07-28 declares it
 * @param level protocol log level the session asked for, or null
 */
export function sessionEnvelope(clientInfo: Uint8Array, capabilities: object, level: string | null): Envelope {
  const parts = [VERSION_KEY, `"io.modelcontextprotocol/clientCapabilities":${JSON.stringify(capabilities)}`];
  if (clientInfo.length > 0) {
    parts.push(`"io.modelcontextprotocol/clientInfo":${Buffer.from(clientInfo).toString('utf8')}`);
  }
  if (level !== null) parts.push(`"io.modelcontextprotocol/logLevel":"${level}"`);
  return new Envelope(parts.join(','));
}
