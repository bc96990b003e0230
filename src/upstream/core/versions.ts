/** Protocol versions that a server names when it refuses one, as servers do in different places (MCP, version negotiation). */
import { LATEST_LEGACY, REVISIONS, revisionNumber } from '../../protocol/revisions.js';
import type { ControlError } from './control.js';
import { escaped } from './limits/log-limit.js';

const INVALID_PARAMS = -32_602;
const UNSUPPORTED_VERSION = -32_022;
/** A version as it stands in a text. */
const VERSION = /\b20\d\d-\d\d-\d\d\b/g;
/** What a text says that is about versions. */
const ABOUT_VERSIONS = /version|protocol|support/i;
/** Most versions that are read of a refusal, and longest one in bytes. */
const MAX_VERSIONS = 16;
const MAX_VERSION_BYTES = 40;

/** The versions in `error.data.supported`, or else those in the text of the refusal. */
function namedVersions({ data, text }: ControlError): string[] {
  const { supported, supportedVersions } = (typeof data === 'object' && data !== null ? data : {}) as {
    supported?: unknown;
    supportedVersions?: unknown;
  };
  for (const list of [supported, supportedVersions]) {
    if (!Array.isArray(list)) continue;
    return list.slice(0, MAX_VERSIONS).filter((version): version is string => typeof version === 'string');
  }
  if (!ABOUT_VERSIONS.test(text)) return [];
  return [...text.matchAll(VERSION)].slice(0, MAX_VERSIONS).map(([version]) => version);
}

/**
 * The revisions to ask for instead of one that the server has refused, in order: the newest one that it names, then all older
 * ones. Empty when the refusal is about something else, or the server knows none of them.
 *
 * @param refused the revision that the server has refused; a text may name it
 */
export function olderRevisions(error: ControlError, refused: number): number[] {
  const named = namedVersions(error).filter((version) => version !== REVISIONS[refused]);
  const known = named.map(revisionNumber).filter((revision) => revision >= 0 && revision <= LATEST_LEGACY);
  const isVague = error.kind === 'rpc' && (error.number === INVALID_PARAMS || error.number === UNSUPPORTED_VERSION);
  if (known.length === 0 && (named.length > 0 || !isVague)) return [];
  const newest = known.length === 0 ? refused - 1 : Math.max(...known);
  return Array.from({ length: newest + 1 }, (_, index) => newest - index).filter((revision) => revision !== refused);
}

/** The versions that a refusal names, where the gateway knows none of them. */
export function foreignVersions(error: ControlError): string[] {
  const named = namedVersions(error);
  // The text may name the version that was asked for.
  const isKnown = (version: string): boolean => revisionNumber(version) >= 0;
  if (named.some((version) => isKnown(version) && version !== REVISIONS[LATEST_LEGACY])) return [];
  return named.filter((version) => !isKnown(version));
}

/** Versions for a log line or a reason: printable, and of bounded length. */
export function shownVersions(versions: readonly unknown[]): string {
  return versions
    .slice(0, MAX_VERSIONS)
    .map((version) =>
      escaped(Buffer.from(typeof version === 'string' ? version : JSON.stringify(version)), MAX_VERSION_BYTES),
    )
    .join(', ');
}
