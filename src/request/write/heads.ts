/** Response heads, as the flat lists of names and values that a Reply takes. */
export const JSON_HEAD: readonly string[] = ['content-type', 'application/json'];

export const NO_HEAD: readonly string[] = [];
