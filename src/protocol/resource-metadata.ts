/** Protected-resource metadata (RFC 9728). */

/** Where the metadata of a resource is: this, and the path of the resource behind it. */
export const METADATA_PATH = '/.well-known/oauth-protected-resource';

/** What the metadata says. */
export interface ResourceMetadata {
  /** Name for people. */
  readonly name: string;
  readonly authorizationServers: readonly string[];
  readonly scopes: readonly string[];
  /** Whether tokens are taken in `Authorization: Bearer`. */
  readonly takesBearer: boolean;
}

/**
 * The URL of the metadata of a resource (RFC 9728 section 3.1).
 *
 * @param publicUrl origin of the gateway; null = `http://` and `host`
 * @param host `Host` of the request; empty = there is no request over HTTP
 * @param path of the resource; empty = the origin itself
 * @returns null when the origin is not known
 */
export function metadataUrl(publicUrl: string | null, host: string, path: string): string | null {
  const origin = originOf(publicUrl, host);
  return origin === null ? null : `${origin}${METADATA_PATH}${path === '/' ? '' : path}`;
}

/** The document (RFC 9728 section 2) about the resource at `path`. */
export function metadataDocument(
  publicUrl: string | null,
  host: string,
  path: string,
  about: ResourceMetadata,
): string {
  const { authorizationServers, name, scopes, takesBearer } = about;
  return JSON.stringify({
    resource: `${originOf(publicUrl, host)}${path === '' ? '/' : path}`,
    resource_name: name,
    ...(authorizationServers.length === 0 ? {} : { authorization_servers: authorizationServers }),
    ...(scopes.length === 0 ? {} : { scopes_supported: scopes }),
    bearer_methods_supported: takesBearer ? ['header'] : [],
  });
}

function originOf(publicUrl: string | null, host: string): string | null {
  if (publicUrl !== null) return publicUrl;
  return host === '' ? null : `http://${host}`;
}
