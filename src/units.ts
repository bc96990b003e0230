/** A duration in milliseconds. */
export type Milliseconds = number;
/** A duration in seconds. */
export type Seconds = number;
/** A size in bytes. */
export type Bytes = number;
/** A number of things. */
export type Count = number;
