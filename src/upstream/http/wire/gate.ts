/** Holds a reader back while it is closed. */
export class Gate {
  #closed: { readonly promise: Promise<void>; readonly open: () => void } | null = null;

  /** Fulfilled when the gate is opened; null = it is open. */
  get passable(): Promise<void> | null {
    return this.#closed?.promise ?? null;
  }

  close(): void {
    if (this.#closed !== null) return;
    let open = (): void => {};
    const promise = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#closed = { promise, open };
  }

  open(): void {
    const closed = this.#closed;
    this.#closed = null;
    closed?.open();
  }
}
