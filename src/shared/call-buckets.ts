/**
 * The scopes of rate limits: what a limit counts. A call takes a token from at most one bucket of each scope. Plain fields
 * instead of arrays by scope: with those the benchmarks of decision and memo take a fifth longer.
 */

/** Number of scopes: all calls, those of a tool rule, of a route, of a client, of a client on a route. */
export const LIMIT_SCOPES = 5;
/** Words of {@link CallBuckets} in a record: an index for each scope, and a generation for those that count clients. */
export const CALL_BUCKET_WORDS = 7;

/** The buckets that one call takes a token from. An index of -1 = no such limit applies to the call. */
export class CallBuckets {
  global = -1;
  tool = -1;
  route = -1;
  /** The bucket of the client under `rateLimits.perClient`, and the generation it was found under. */
  client = -1;
  clientGeneration = 0;
  /** The bucket of the client under the route, and the generation it was found under. */
  routeClient = -1;
  routeClientGeneration = 0;

  /** No limit applies. */
  get isEmpty(): boolean {
    return (this.global & this.tool & this.route & this.client & this.routeClient) === -1;
  }

  clear(): void {
    this.global = -1;
    this.tool = -1;
    this.route = -1;
    this.client = -1;
    this.clientGeneration = 0;
    this.routeClient = -1;
    this.routeClientGeneration = 0;
  }

  assign(from: CallBuckets): void {
    this.global = from.global;
    this.tool = from.tool;
    this.route = from.route;
    this.client = from.client;
    this.clientGeneration = from.clientGeneration;
    this.routeClient = from.routeClient;
    this.routeClientGeneration = from.routeClientGeneration;
  }
  /** Reads {@link CALL_BUCKET_WORDS} words of a record from `words[at]` on. */
  read(words: Int32Array, at: number): void {
    this.global = words[at]!;
    this.tool = words[at + 1]!;
    this.route = words[at + 2]!;
    this.client = words[at + 3]!;
    this.clientGeneration = words[at + 4]!;
    this.routeClient = words[at + 5]!;
    this.routeClientGeneration = words[at + 6]!;
  }

  /** Writes {@link CALL_BUCKET_WORDS} words of a record from `words[at]` on. */
  write(words: Int32Array, at: number): void {
    words[at] = this.global;
    words[at + 1] = this.tool;
    words[at + 2] = this.route;
    words[at + 3] = this.client;
    words[at + 4] = this.clientGeneration;
    words[at + 5] = this.routeClient;
    words[at + 6] = this.routeClientGeneration;
  }
}
