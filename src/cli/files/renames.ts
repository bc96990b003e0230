/** What the configuration alone says of names that clients see changed. */

import type { Snapshot } from '../../config/snapshot/index.js';
import { acceptedForm, renamed } from '../../protocol/names/forms.js';

/** Stands for the own name of any tool or prompt. */
const ANY = 'NAME';

/** A name of a server, and the one that clients see. */
export interface Rename {
  readonly server: string;
  readonly name: string;
  readonly offered: string;
}

/** Servers whose prefix is not their name with the separator, and the names that `rename` gives. */
export function renames({ catalog, servers }: Snapshot): Rename[] {
  return servers.flatMap(({ name: server, prefix, rename }): Rename[] => {
    const before = prefix === null || catalog.conflict !== 'prefix' ? '' : `${prefix}${catalog.separator}`;
    const row = (name: string): Rename => {
      const offered = acceptedForm(`${before}${name === ANY ? '' : renamed(rename, server, name)}`, catalog);
      return { server, name, offered: name === ANY ? `${offered}${ANY}` : offered };
    };
    if (typeof rename === 'string') {
      return [{ server, name: ANY, offered: acceptedForm(before, catalog) + renamed(rename, server, ANY) }];
    }
    const rows = Object.keys(rename ?? {}).map(row);
    return before === '' || acceptedForm(before, catalog) === `${server}${catalog.separator}`
      ? rows
      : [row(ANY), ...rows];
  });
}
