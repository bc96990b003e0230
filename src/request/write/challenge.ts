/** What a 401 or 403 says about how to authenticate (`WWW-Authenticate`, RFC 9110 section 11.6.1). */
import type { AuthSnapshot } from '../../config/snapshot/auth.js';
import { authAt, type EndpointAuth } from '../../config/snapshot/endpoint-auth.js';
import { metadataUrl } from '../../protocol/resource-metadata.js';
import { Scheme } from '../../shared/scheme.js';

/** What a challenge is made of. */
export interface ChallengeConfig extends EndpointAuth<AuthSnapshot> {
  /** See `Snapshot.publicUrl`. */
  readonly publicUrl: string | null;
}

/** The request that is answered. */
export interface ChallengedClient {
  readonly host: string;
  readonly path: string;
  readonly caller: { readonly view: number };
}

/**
 * The value of `WWW-Authenticate`: one challenge for each scheme that providers take, the first with the parameters of RFC 6750
 * section 3 and the resource metadata of RFC 9728 section 5.1. Bearer comes first, since clients look at the beginning.
 *
 * @param scopes that the operation needs, space separated; empty = none are known
 */
export function challenge(
  config: ChallengeConfig,
  { caller, host, path }: ChallengedClient,
  error: 'invalid_token' | 'insufficient_scope' | null,
  scopes: string,
): string {
  const auth = authAt(config, caller.view);
  const parameters: string[] = [];
  if (error !== null) parameters.push(`error="${error}"`);
  if (error === 'insufficient_scope') {
    parameters.push('error_description="The credential does not grant a scope this operation needs"');
  }
  if (scopes !== '') parameters.push(`scope="${scopes}"`);
  const metadata = auth.resourceMetadata ?? metadataUrl(config.publicUrl, host, path);
  if (metadata !== null) parameters.push(`resource_metadata="${metadata}"`);
  const [first = 'Bearer', ...others] = schemesOf(auth);
  const separator = first.includes(' ') ? ', ' : ' ';
  const whole = parameters.length === 0 ? first : `${first}${separator}${parameters.join(', ')}`;
  return [whole, ...others].join(', ');
}

/** The schemes with the parameters that they need, each once. A proxy's headers are nothing that a client can send. */
function schemesOf({ providers, realm }: AuthSnapshot): string[] {
  const space = `realm="mcp${realm}"`;
  const schemes = new Set<string>();
  if (providers.some(({ scheme }) => scheme === Scheme.bearer)) schemes.add('Bearer');
  for (const provider of providers) {
    if (provider.type === 'basic') schemes.add(`Basic ${space}, charset="UTF-8"`);
    // Not registered: it tells people which header it is.
    else if (provider.type === 'apiKey') schemes.add(`ApiKey ${space}, header="${provider.header}"`);
  }
  return [...schemes];
}
