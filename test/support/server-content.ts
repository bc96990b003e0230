/** What both test servers serve, so that tests can ask either the same questions. */
export const CITIES: Readonly<Record<string, number>> = { basel: 173_000, bern: 134_000, zurich: 421_000 };

/** Names of cities that begin with a value: the completion of both servers. */
export function cityNames(value: string | undefined): string[] {
  return Object.keys(CITIES).filter((name) => name.startsWith(value ?? ''));
}

export const SERVER_INSTRUCTIONS = 'A server for tests.';

/** Resolves after `ms` milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
