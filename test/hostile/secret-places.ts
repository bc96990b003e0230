import { configSchema } from '../../src/config/schema/index.js';
import { alternatives } from '../../src/config/schema-walk.js';

/** A place of the configuration, as `mcpServers.*.args[]`: `*` is a free name, `[]` an element of a list. */
export type Place = string;

export interface Places {
  /** Where any text may stand. */
  readonly texts: readonly Place[];
  /** Where a number, a switch or a word of a list may stand. */
  readonly others: readonly Place[];
}

/** Every place of the schema that takes a scalar. */
export function placesOf(): Places {
  const texts = new Set<Place>();
  const others = new Set<Place>();
  const walk = (schema: Parameters<typeof alternatives>[0], place: Place): void => {
    const { objects, record, element, string, words, number, boolean } = alternatives(schema);
    if (string && words.length === 0) texts.add(place);
    else if (words.length > 0 || number || boolean) others.add(place);
    if (record !== null) walk(record, `${place}.*`);
    if (element !== null) walk(element, `${place}[]`);
    for (const object of objects) {
      for (const [key, field] of Object.entries(object.shape)) {
        walk(field as typeof schema, place === '' ? key : `${place}.${key}`);
      }
    }
  };
  walk(configSchema, '');
  return { texts: [...texts], others: [...others] };
}

/** A configuration that holds nothing but `value` at `place`. */
export function onlyAt(place: Place, value: unknown, name: string): object {
  const steps = place.match(/\[\]|[^.[\]]+/g) ?? [];
  let result = value;
  for (const step of steps.reverse()) {
    if (step === '[]') result = [result];
    else result = { [step === '*' ? name : step]: result };
  }
  return result as object;
}

/** Where a text of the file itself is a secret, too; arguments here stand behind names that say so. */
const SECRET: ReadonlySet<Place> = new Set([
  'auth.tokens[].token',
  'sessions.secret[]',
  ...['mcpServers.*', 'mcpServers.*.endpoints[]'].flatMap((server) =>
    ['args[]', 'env.*', 'url', 'headers.*', 'auth.token', 'auth.password'].map((key) => `${server}.${key}`),
  ),
]);

/** Variables with a canary in each, and the places that they stand at. */
export class Canaries {
  /** Values of the variables by name. */
  readonly env: Record<string, string> = {};
  readonly placed = new Set<Place>();
  readonly literal: boolean;

  /** @param literal the values stand in the file itself instead of in variables */
  constructor(literal: boolean) {
    this.literal = literal;
  }

  /** What to write at `place`; `make` puts the canary into what the place asks for. */
  at(place: Place, make: (canary: string) => string = (canary) => canary): string {
    this.placed.add(place);
    const name = `V${Object.keys(this.env).length + 1}`;
    const word = this.literal && !SECRET.has(place) ? 'plain' : 'canary';
    this.env[name] = make(`${word}-${name}-0123456789abcdef0123456789`);
    return this.literal ? this.env[name] : `\${${name}}`;
  }

  /** What a text of {@link at} stands for. */
  valueOf(text: string): string {
    return text.replace(/\$\{(V\d+)\}/g, (_, name: string) => this.env[name] ?? '');
  }

  /** As {@link at} in a place that clients or the first line of output are told of; only `validate` may not show it. */
  published(place: Place, value: string): string {
    return this.at(place, () => value);
  }
}
