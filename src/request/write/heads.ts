/** Response heads, as the flat lists of names and values that a Reply takes. */
export const JSON_HEAD: readonly string[] = ['content-type', 'application/json'];

export const NO_HEAD: readonly string[] = [];

/** The head of a JSON answer with further fields. */
export function withFields(fields: readonly string[]): readonly string[] {
  return fields.length === 0 ? JSON_HEAD : [...JSON_HEAD, ...fields];
}
