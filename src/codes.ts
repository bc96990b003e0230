/** Tables of numeric constants whose members have types of their own. */

declare const tableOf: unique symbol;

/** One number of a table of constants. */
export type Code<Table extends string, Value extends number = number> = Value & { readonly [tableOf]: Table };

/** The numbers of a table of constants, each with a type of its own. */
export type Codes<Table extends string, Values extends Record<string, number>> = {
  readonly [Name in keyof Values]: Code<Table, Values[Name]>;
};

/**
 * Makes a table of constants whose numbers fit only where that table is meant: `exchange.enter(Verb.get` does not compile.
 * The numbers stay what they are.
 *
 * @param _table name of the table, for the type alone); tables of one name share their type
 */
export function codes<const Table extends string, const Values extends Record<string, number>>(
  _table: Table,
  values: Values,
): Codes<Table, Values> {
  return values as unknown as Codes<Table, Values>;
}

/** Any number of a table: `type Verb = CodeOf<typeof Verb>`. */
export type CodeOf<Table> = Table[keyof Table];
