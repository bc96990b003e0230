/**
 * The value of `Authorization` by which an OAuth client authenticates (RFC 6749 section 2.3.1): both parts are form-encoded before
 * they are joined.
 */
export function clientSecretBasic(clientId: string, clientSecret: string): string {
  return `Basic ${Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString('base64')}`;
}

function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}
