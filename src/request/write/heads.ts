/** Response heads, as the flat lists of names and values that a Reply takes. */
export const JSON_HEAD: readonly string[] = ['content-type', 'application/json'];

export const NO_HEAD: readonly string[] = [];

/** The challenge of RFC 6750 section 3 with the resource metadata of RFC 9728 section 5.1. */
export function challenge(
  error: 'invalid_token' | 'insufficient_scope' | null,
  scopes: string,
  resourceMetadata: string | null,
): string {
  const parts: string[] = [];
  if (error !== null) parts.push(`error="${error}"`);
  if (error === 'insufficient_scope') {
    parts.push('error_description="The token does not grant a scope this operation needs"');
  }
  if (scopes !== '') parts.push(`scope="${scopes}"`);
  if (resourceMetadata !== null) parts.push(`resource_metadata="${resourceMetadata}"`);
  return parts.length === 0 ? 'Bearer' : `Bearer ${parts.join(', ')}`;
}
