import { BLANK, type Kind, type Method, SPAN_COUNT, Span } from './layout.js';

/**
 * The result of a scan of one message. Positions are byte offsets into the scanned bytes, end exclusive; -1 in a `…Start` means
 * "absent". String values are given without their quotes unless the comment says "raw", which is the whole JSON token.
 */
export class Spans {
  /** The slots as {@link Decoder.scan} fills them, in the order of {@link Span}. */
  readonly words: Int32Array;

  constructor(words: Int32Array = new Int32Array(SPAN_COUNT)) {
    this.words = words;
  }

  /** Marks everything as absent. */
  clear(): void {
    this.words.set(BLANK);
  }

  /** An independent copy. */
  copy(): Spans {
    return new Spans(this.words.slice());
  }

  /** One of {@link Kind}. */
  get kind(): Kind {
    return this.words[Span.kind] as Kind;
  }

  set kind(value: Kind) {
    this.words[Span.kind] = value;
  }

  /** One of the ids of {@link METHODS}; 0 = a method that is not in the table. Requests and notifications only. */
  get method(): Method {
    return this.words[Span.method] as Method;
  }

  set method(value: Method) {
    this.words[Span.method] = value;
  }

  /** Bits of {@link Flag}. */
  get flags(): number {
    return this.words[Span.flags] as number;
  }

  set flags(value: number) {
    this.words[Span.flags] = value;
  }

  /** Raw id token (with quotes if a string). */
  get idStart(): number {
    return this.words[Span.idStart] as number;
  }

  get idEnd(): number {
    return this.words[Span.idEnd] as number;
  }

  get methodStart(): number {
    return this.words[Span.methodStart] as number;
  }

  get methodEnd(): number {
    return this.words[Span.methodEnd] as number;
  }

  /** Raw `params` object, braces included. */
  get paramsStart(): number {
    return this.words[Span.paramsStart] as number;
  }

  get paramsEnd(): number {
    return this.words[Span.paramsEnd] as number;
  }

  /**
   * What the method routes by, without quotes: `params.name` (tools/call, prompts/get), `params.uri`
   * (resources/read, subscribe, unsubscribe), `params.taskId` (tasks/*), `params.ref.name` or
   * `params.ref.uri` (completion/complete).
   */
  get nameStart(): number {
    return this.words[Span.nameStart] as number;
  }

  set nameStart(value: number) {
    this.words[Span.nameStart] = value;
  }

  get nameEnd(): number {
    return this.words[Span.nameEnd] as number;
  }

  set nameEnd(value: number) {
    this.words[Span.nameEnd] = value;
  }

  /** Two 32-bit lanes of {@link hashBytes} over the name bytes; 0, 0 when there is no name. */
  get nameHashLow(): number {
    return this.words[Span.nameHashLow] as number;
  }

  set nameHashLow(value: number) {
    this.words[Span.nameHashLow] = value;
  }

  get nameHashHigh(): number {
    return this.words[Span.nameHashHigh] as number;
  }

  set nameHashHigh(value: number) {
    this.words[Span.nameHashHigh] = value;
  }

  /** Raw `params.arguments`. */
  get argumentsStart(): number {
    return this.words[Span.argumentsStart] as number;
  }

  get argumentsEnd(): number {
    return this.words[Span.argumentsEnd] as number;
  }

  /** Raw `params._meta` (requests, notifications) or `result._meta` (responses). */
  get metaStart(): number {
    return this.words[Span.metaStart] as number;
  }

  get metaEnd(): number {
    return this.words[Span.metaEnd] as number;
  }

  /** Raw `params._meta.progressToken`; in `notifications/progress` raw `params.progressToken`. */
  get progressTokenStart(): number {
    return this.words[Span.progressTokenStart] as number;
  }

  get progressTokenEnd(): number {
    return this.words[Span.progressTokenEnd] as number;
  }

  /** Raw `_meta["io.modelcontextprotocol/protocolVersion"]`; flag `claimIsString`: it is a string. */
  get claimStart(): number {
    return this.words[Span.claimStart] as number;
  }

  get claimEnd(): number {
    return this.words[Span.claimEnd] as number;
  }

  /** Raw `_meta["io.modelcontextprotocol/clientCapabilities"]`. */
  get capabilitiesStart(): number {
    return this.words[Span.capabilitiesStart] as number;
  }

  get capabilitiesEnd(): number {
    return this.words[Span.capabilitiesEnd] as number;
  }

  /** Raw `_meta["io.modelcontextprotocol/clientInfo"]`. */
  get clientInfoStart(): number {
    return this.words[Span.clientInfoStart] as number;
  }

  get clientInfoEnd(): number {
    return this.words[Span.clientInfoEnd] as number;
  }

  /** Raw `_meta["io.modelcontextprotocol/logLevel"]`; in logging/setLevel and notifications/message raw `params.level`. */
  get levelStart(): number {
    return this.words[Span.levelStart] as number;
  }

  get levelEnd(): number {
    return this.words[Span.levelEnd] as number;
  }

  /** Raw `params.cursor`. */
  get cursorStart(): number {
    return this.words[Span.cursorStart] as number;
  }

  get cursorEnd(): number {
    return this.words[Span.cursorEnd] as number;
  }

  /** Raw `params.requestId` (notifications/cancelled). */
  get requestIdStart(): number {
    return this.words[Span.requestIdStart] as number;
  }

  get requestIdEnd(): number {
    return this.words[Span.requestIdEnd] as number;
  }

  /** Raw `params.inputResponses`. */
  get inputResponsesStart(): number {
    return this.words[Span.inputResponsesStart] as number;
  }

  get inputResponsesEnd(): number {
    return this.words[Span.inputResponsesEnd] as number;
  }

  /** Raw `params.requestState`. */
  get requestStateStart(): number {
    return this.words[Span.requestStateStart] as number;
  }

  get requestStateEnd(): number {
    return this.words[Span.requestStateEnd] as number;
  }

  /** Raw `result` (responses). */
  get resultStart(): number {
    return this.words[Span.resultStart] as number;
  }

  get resultEnd(): number {
    return this.words[Span.resultEnd] as number;
  }

  /** Raw `error` (responses). */
  get errorStart(): number {
    return this.words[Span.errorStart] as number;
  }

  get errorEnd(): number {
    return this.words[Span.errorEnd] as number;
  }

  /** `error.code` when it is an integer of 32 bits, else 0. */
  get errorCode(): number {
    return this.words[Span.errorCode] as number;
  }

  /** Raw `result.resultType`. */
  get resultTypeStart(): number {
    return this.words[Span.resultTypeStart] as number;
  }

  get resultTypeEnd(): number {
    return this.words[Span.resultTypeEnd] as number;
  }

  /** Raw `result.ttlMs`. */
  get ttlMsStart(): number {
    return this.words[Span.ttlMsStart] as number;
  }

  get ttlMsEnd(): number {
    return this.words[Span.ttlMsEnd] as number;
  }

  /** Raw `result.cacheScope`. */
  get cacheScopeStart(): number {
    return this.words[Span.cacheScopeStart] as number;
  }

  get cacheScopeEnd(): number {
    return this.words[Span.cacheScopeEnd] as number;
  }

  /** Raw `result.structuredContent`. */
  get structuredContentStart(): number {
    return this.words[Span.structuredContentStart] as number;
  }

  get structuredContentEnd(): number {
    return this.words[Span.structuredContentEnd] as number;
  }

  /** Elements of a batch; 0 otherwise. */
  get batchCount(): number {
    return this.words[Span.batchCount] as number;
  }

  /** Raw `_meta.traceparent`. */
  get traceparentStart(): number {
    return this.words[Span.traceparentStart] as number;
  }

  get traceparentEnd(): number {
    return this.words[Span.traceparentEnd] as number;
  }
}
