/**
 * The variant of a call: weighted rendezvous hashing over the groups of its route. Each group draws a number from the key and
 * its name, and the largest wins; more weight draws larger ones. A key changes its group only to or from a group whose share
 * changes, and every worker, restart and replica chooses the same.
 */

import type { Snapshot } from '../../src/config/snapshot/index.js';
import type { VariantsSnapshot } from '../../src/config/snapshot/match.js';
import { RequestFlag } from '../../src/shared/ring/records.js';
import type { Principal } from '../authenticate/principal.js';
import { ArgumentReader } from './argument.js';
import type { CallFacts } from './facts.js';

interface Variants {
  readonly rule: VariantsSnapshot;
  /** Hash of the salt and the name of each group. */
  readonly seeds: Int32Array;
}

/** See the file comment. One per finder. */
export class VariantChoice {
  /** The choice was made at random: it counts for this call only. */
  isRandom = false;
  /** The choice depends on the arguments, which are not at hand. */
  needsArguments = false;
  /** The argument is there twice. */
  isAmbiguous = false;
  readonly #routes: readonly (Variants | null)[];
  readonly #argument = new ArgumentReader();
  readonly #random: () => number;

  /** @param random uniform in [0, 1) */
  constructor({ routes }: Snapshot, random: () => number = Math.random) {
    this.#random = random;
    this.#routes = routes.map(({ variants }) =>
      variants === null
        ? null
        : {
            rule: variants,
            seeds: Int32Array.from(variants.groups, ({ name }) => hashText(`${variants.salt}\n${name}`)),
          },
    );
  }

  /** The group of a call on a route, -1 = the route has none. */
  choose(route: number, facts: CallFacts, principal: Principal): number {
    this.isRandom = false;
    this.needsArguments = false;
    this.isAmbiguous = false;
    const variants = this.#routes[route] ?? null;
    if (variants === null) return -1;
    const { rule, seeds } = variants;
    return pick(rule, seeds, this.#hashKey(rule, facts, principal));
  }

  #hashKey(rule: VariantsSnapshot, facts: CallFacts, principal: Principal): number {
    const { by } = rule;
    const { bytes } = facts;
    switch (by.type) {
      case 'header':
        if (facts.findAttribute(by.attribute)) return hashBytes(bytes, facts.valueStart, facts.valueEnd);
        break;
      case 'argument':
        if (!facts.has(RequestFlag.hasArguments)) this.needsArguments = true;
        else if (this.#findArgument(facts, by.pointer)) {
          return hashBytes(this.#argument.text, this.#argument.textStart, this.#argument.textEnd);
        }
        break;
      case 'principal':
        if (principal.subject !== '') return hashText(principal.subject);
        break;
      case 'address':
        return this.#hashAddress(facts, principal);
      case 'random':
        return this.#roll();
    }
    return rule.otherwise === 'address' ? this.#hashAddress(facts, principal) : this.#roll();
  }

  #findArgument(facts: CallFacts, pointer: readonly string[]): boolean {
    const argument = this.#argument;
    argument.isAmbiguous = false;
    const found = argument.find(facts.bytes, facts.argumentsStart, facts.argumentsEnd, pointer);
    this.isAmbiguous = argument.isAmbiguous;
    return found && argument.readText(facts.bytes);
  }

  #hashAddress({ bytes, addressStart, addressEnd }: CallFacts, principal: Principal): number {
    // Verdicts are remembered by the token of a client that has one, not by its address.
    if (principal.subject !== '') this.isRandom = true;
    return hashBytes(bytes, addressStart, addressEnd);
  }

  #roll(): number {
    this.isRandom = true;
    return (this.#random() * 4_294_967_296) | 0;
  }
}

function pick({ groups }: VariantsSnapshot, seeds: Int32Array, key: number): number {
  let chosen = 0;
  let best = -1;
  for (let i = 0; i < groups.length; i += 1) {
    const { weight } = groups[i]!;
    if (weight === 0) continue;
    const uniform = (mix(key ^ seeds[i]!) + 0.5) / 4_294_967_296;
    // Efraimidis and Spirakis: the largest of u^(1/w), here as w / -ln(u), wins with a probability proportional to w.
    const score = weight / -Math.log(uniform);
    if (score <= best) continue;
    best = score;
    chosen = i;
  }
  return chosen;
}

/** FNV-1a, mixed. Unseeded: the group of a key must be the same in every process. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash) | 0;
}

/** The same of bytes; of ASCII it is that of the text. */
function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return mix(hash) | 0;
}

/** Spreads a word over all its bits (the finalizer of MurmurHash3, twice). */
function mix(word: number): number {
  let mixed = word;
  for (let round = 0; round < 2; round += 1) {
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    mixed ^= mixed >>> 16;
  }
  return mixed >>> 0;
}
