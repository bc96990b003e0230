/** The entries of a cache by the name of their key, so that a purge by name need not look at all of them. */
export class NameIndex {
  /** Key numbers by the latin1 text of a name. */
  readonly #numbers = new Map<string, Set<number>>();

  add(name: Buffer, number: number): void {
    const text = name.toString('latin1');
    const numbers = this.#numbers.get(text);
    if (numbers === undefined) this.#numbers.set(text, new Set([number]));
    else numbers.add(number);
  }

  remove(name: Buffer, number: number): void {
    const text = name.toString('latin1');
    const numbers = this.#numbers.get(text);
    if (numbers?.delete(number) === true && numbers.size === 0) this.#numbers.delete(text);
  }

  /** The key numbers under any of the names. */
  numbers(names: ReadonlySet<string>): number[] {
    return [...names].flatMap((name) => [...(this.#numbers.get(name) ?? [])]);
  }
}
