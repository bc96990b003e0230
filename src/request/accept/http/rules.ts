import { isIP } from 'node:net';
import type { Snapshot, TransportsSnapshot } from '../../../config/snapshot/index.js';
import type { Bytes, Count, Milliseconds } from '../../../units.js';
import { Accepts } from '../../exchange/index.js';
import { type AuthRules, authRules } from './auth-rules.js';
import { connectionLimit } from './connection-limit.js';
import { ViewPaths, withoutSlash } from './paths.js';

/** The request headers that policy reads: `Snapshot.attributes`, and the position of each. */
export interface AttributeNames {
  readonly names: readonly string[];
  readonly positions: ReadonlyMap<string, number>;
}

/** The rules of one snapshot that accept enforces, compiled once. */
export class AcceptRules {
  readonly maxBodyBytes: Bytes;
  readonly maxHeaderBytes: Bytes;
  readonly maxHeaders: Count;
  readonly maxClientBufferBytes: Bytes;
  readonly maxResponseBytes: Bytes;
  readonly slowClientMs: Milliseconds;
  /** Small frames of one WebSocket per second; 0 = no limit. */
  readonly smallFrameRate: Count;
  /** Event streams open at once. */
  readonly maxStreams: Count;
  /** Name of the gateway. */
  readonly name: string;
  /** Time between heartbeats on idle connections; 0 = none. */
  readonly keepAliveMs: Milliseconds;
  /** By position in `Snapshot.views`. */
  readonly auth: readonly AuthRules[];
  /** Positions of the headers that carry credentials at some endpoint, by lower-case name; null = only `Authorization` does. */
  readonly credentialNames: ReadonlyMap<string, number> | null;
  /** See `Snapshot.publicUrl`. */
  readonly publicUrl: string | null;
  /** See `RequestHead.attributeNames`. */
  readonly attributeNames: AttributeNames | null;
  readonly views: ViewPaths;
  /** Path of the MCP endpoint besides `/mcp` and `/`, without a slash at its end. */
  readonly endpointPath: string;
  /** Which transports are open. */
  readonly transports: TransportsSnapshot;
  /** See connection-limit.ts. */
  readonly maxConnections: Count;
  readonly #loopback: boolean;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #anyOrigin: boolean;
  // Most requests repeat the last allowed value of a field, which is then recognised by one comparison.
  #goodHost = '';
  #goodOrigin = '';
  #lastAccept = '';
  #lastAccepts = acceptBits('');

  constructor(snapshot: Snapshot) {
    const limits = snapshot.limits;
    this.maxBodyBytes = limits.maxBodyBytes;
    this.maxHeaderBytes = limits.maxHeaderBytes;
    this.maxHeaders = limits.maxHeaders;
    this.maxClientBufferBytes = limits.maxClientBufferBytes;
    this.maxResponseBytes = limits.maxResponseBytes;
    this.slowClientMs = limits.slowClientMs;
    this.smallFrameRate = limits.smallFrameRate;
    this.maxStreams = limits.maxStreams;
    this.name = snapshot.name;
    this.keepAliveMs = limits.keepAliveMs;
    const credentialNames = new Map<string, number>();
    this.auth = authRules(snapshot, credentialNames);
    this.credentialNames = credentialNames.size === 0 ? null : credentialNames;
    this.publicUrl = snapshot.publicUrl;
    const { attributes } = snapshot;
    const positions = new Map(attributes.map((name, position) => [name, position]));
    this.attributeNames = attributes.length === 0 ? null : { names: attributes, positions };
    this.views = new ViewPaths(snapshot.views);
    this.endpointPath = withoutSlash(snapshot.path);
    this.transports = snapshot.transports;
    this.maxConnections = connectionLimit(limits.maxConnections);
    this.#loopback = isLoopbackName(snapshot.host.toLowerCase());
    this.#hosts = new Set(snapshot.allowedHosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(snapshot.allowedOrigins.map((origin) => origin.toLowerCase()));
    this.#anyOrigin = this.#origins.has('*');
  }

  /**
   * Whether `Host` is a valid authority that this gateway serves (protection against DNS rebinding). A loopback listener
   * serves loopback names on any port; `allowedHosts` adds names, or on other listeners restricts to them.
   */
  hostAllowed(value: string): boolean {
    if (value === this.#goodHost && value !== '') return true;
    const name = hostName(value.toLowerCase());
    if (name === null) return false;
    const allowed = this.#hosts.has(name) ? true : this.#loopback ? isLoopbackName(name) : this.#hosts.size === 0;
    if (allowed) this.#goodHost = value;
    return allowed;
  }

  /**
   * Whether `Host` may request health checks although {@link hostAllowed} is false: kubelet and load balancers send the
   * address that they connect to. The `Host` of a page that rebinds its name to this machine stays a name.
   */
  probeHostAllowed(value: string): boolean {
    return !this.#loopback && isAddress(value);
  }

  /** Whether an `Origin` that is present is allowed. `null` and invalid values never are. */
  originAllowed(value: string): boolean {
    if (value === this.#goodOrigin && value !== '') return true;
    const origin = value.toLowerCase();
    const scheme = /^[a-z][a-z0-9+.-]{0,31}:\/\//.exec(origin);
    if (scheme === null) return false;
    const name = hostName(origin.slice(scheme[0].length));
    if (name === null) return false;
    const web = scheme[0] === 'http://' || scheme[0] === 'https://';
    const allowed = this.#anyOrigin || this.#origins.has(origin) || (this.#loopback && web && isLoopbackName(name));
    if (allowed) this.#goodOrigin = value;
    return allowed;
  }

  /** Bits of {@link Accepts} for an `Accept` value (RFC 9110 section 12.5.1); empty = no such header. */
  accepts(value: string): number {
    if (value === this.#lastAccept) return this.#lastAccepts;
    this.#lastAccept = value;
    this.#lastAccepts = acceptBits(value);
    return this.#lastAccepts;
  }
}

/** The host of `host[:port]` in lower case, brackets kept; `null` when it is not a plain authority. */
export function hostName(authority: string): string | null {
  const match = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9._~-]{1,253})(?::([0-9]{1,5}))?$/.exec(authority);
  if (match === null) return null;
  if (match[2] !== undefined && Number(match[2]) > 65_535) return null;
  return match[1] ?? null;
}

/** Whether `host[:port]` names an IP address. */
export function isAddress(authority: string): boolean {
  const name = hostName(authority.toLowerCase());
  return name !== null && isIP(name.startsWith('[') ? name.slice(1, -1) : name) !== 0;
}

/** Whether a host name (lower case, IPv6 with or without brackets) means this machine. */
export function isLoopbackName(name: string): boolean {
  if (name === 'localhost' || name === '[::1]' || name === '::1') return true;
  return name.startsWith('127.') && isIP(name) === 4;
}

/**
 * The most specific range decides about a type. A stream is chosen only for clients that name it: most of those that send a
 * wildcard, or nothing, read JSON alone.
 */
function acceptBits(value: string): number {
  const ranges = new Map<string, boolean>();
  for (const part of value.toLowerCase().split(',')) {
    const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim());
    if (range === '') continue;
    ranges.set(range, !parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter)));
  }
  const rest = ranges.size === 0 || (ranges.get('*/*') ?? false);
  const json = ranges.get('application/json') ?? ranges.get('application/*') ?? rest;
  const named = ranges.get('text/event-stream') ?? ranges.get('text/*');
  const stream = named ?? rest;
  if (named === true || (stream && !json)) return json ? Accepts.json | Accepts.sse : Accepts.sse;
  return (json ? Accepts.json : 0) | (stream ? Accepts.anySse : 0);
}
