/** Deepest nesting accepted from upstreams. Results are not ours to judge, only to bound. */
export const UPSTREAM_DEPTH = 512;
