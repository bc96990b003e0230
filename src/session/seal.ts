import { createCipheriv, createDecipheriv, hkdfSync, randomFillSync } from 'node:crypto';
import type { Bytes, Seconds } from '../units.js';

/** The content of a sealed session id. */
export interface SealedSession {
  /** Position in REVISIONS. */
  readonly revision: number;
  /** Raw JSON of the client's capabilities, at most {@link MAX_CAPABILITIES} bytes. */
  readonly capabilities: Uint8Array;
  /** Raw JSON of `clientInfo`, at most {@link MAX_CLIENT_INFO} bytes; empty = unknown. */
  readonly clientInfo: Uint8Array;
  /** 128 bits of the subject's digest; all 0 = anonymous. */
  readonly subject: Int32Array;
  /** Wall clock, seconds since 1970. */
  readonly issuedAt: Seconds;
  /** Base path of the view that it was opened at (`ViewSnapshot.base`), ASCII, at most {@link MAX_VIEW_BASE} bytes. */
  readonly viewBase: string;
}

/** The result of {@link SessionSealer.open}. */
export interface OpenedSession extends SealedSession {
  /** Names the secret that sealed it ({@link SessionSealer.hasSecret}). */
  readonly secret: string;
}

/** Longest capabilities in an id. Ids travel in a header with every request, so they are kept short. */
export const MAX_CAPABILITIES: Bytes = 1024;
/** Longest `clientInfo` in an id. */
export const MAX_CLIENT_INFO: Bytes = 512;
/** Longest base path of a view; the configuration permits no longer one. */
export const MAX_VIEW_BASE: Bytes = 128;
/** Tolerated difference between the clocks of replicas. */
const MAX_SKEW: Seconds = 60;

/*
 *  | version | nonce | ciphertext: revision, subject, issued at, random, lengths, capabilities, clientInfo, base of the view | tag |
 *  |    1    |  12   |                1        16        4        16      2+2        n            m               rest       | 16  |
 *
 * The version byte is authenticated. Nonces are random (NIST SP 800-38D section 8.2.2: at most 2^32 ids under one
 * key); the random bytes make ids of equal content unguessable even for a reader of the plain text.
 */
const VERSION = 1;
const NONCE = 12;
const TAG = 16;
const FIXED = 1 + 16 + 4 + 16 + 2 + 2;
const SHORTEST = 1 + NONCE + FIXED + TAG;
const LONGEST = SHORTEST + MAX_CAPABILITIES + MAX_CLIENT_INFO + MAX_VIEW_BASE;
const LONGEST_TEXT = Math.ceil((LONGEST * 4) / 3);
const SHORTEST_SECRET = 32;

interface NamedKey {
  readonly key: Buffer;
  readonly name: string;
}

/**
 * Seals and opens session ids with AES-256-GCM. The first secret seals, all open, so a secret is rotated by putting a new
 * one before it and removing the old one when its sessions have expired.
 */
export class SessionSealer {
  /** Newest first. */
  readonly #keys: readonly [NamedKey, ...NamedKey[]];

  /**
   * @param secrets newest first, each at least 32 characters; the key is derived by HKDF-SHA256 (RFC 5869)
   * @throws RangeError without a secret, and for one that is too short
   */
  constructor(secrets: readonly string[]) {
    const [newest, ...older] = secrets.map(namedKey);
    if (newest === undefined) throw new RangeError('sealing needs at least one secret');
    this.#keys = [newest, ...older];
  }

  /** Names the secret that seals; derived one-way, so that it does not disclose the secret. */
  get secret(): string {
    return this.#keys[0].name;
  }

  /** Whether the secret of that name is among those that open. */
  hasSecret(secret: string): boolean {
    return this.#keys.some(({ name }) => name === secret);
  }

  /** A new id: visible ASCII (base64url), different every time. */
  seal(session: SealedSession): string {
    const { capabilities, clientInfo, subject, viewBase } = session;
    if (
      capabilities.byteLength > MAX_CAPABILITIES ||
      clientInfo.byteLength > MAX_CLIENT_INFO ||
      viewBase.length > MAX_VIEW_BASE
    ) {
      throw new RangeError('capabilities, clientInfo or path of the view too long for a session id');
    }
    const plain = Buffer.allocUnsafe(FIXED + capabilities.byteLength + clientInfo.byteLength + viewBase.length);
    let at = plain.writeUInt8(session.revision, 0);
    for (const word of subject.subarray(0, 4)) at = plain.writeInt32LE(word, at);
    at = plain.writeUInt32LE(session.issuedAt, at);
    randomFillSync(plain, at, 16);
    at = plain.writeUInt16LE(capabilities.byteLength, at + 16);
    at = plain.writeUInt16LE(clientInfo.byteLength, at);
    plain.set(capabilities, at);
    plain.set(clientInfo, at + capabilities.byteLength);
    plain.write(viewBase, at + capabilities.byteLength + clientInfo.byteLength, 'latin1');

    const sealed = Buffer.allocUnsafe(1 + NONCE + plain.byteLength + TAG);
    sealed[0] = VERSION;
    randomFillSync(sealed, 1, NONCE);
    const cipher = createCipheriv('aes-256-gcm', this.#keys[0].key, sealed.subarray(1, 1 + NONCE));
    cipher.setAAD(sealed.subarray(0, 1));
    sealed.set(cipher.update(plain), 1 + NONCE);
    cipher.final();
    sealed.set(cipher.getAuthTag(), 1 + NONCE + plain.byteLength);
    return sealed.toString('base64url');
  }

  /**
   * The content of `id`; `null` when it was not sealed with one of the secrets, was changed, is older than `ttl`, or was
   * issued in the future.
   */
  open(id: string, now: Seconds, ttl: Seconds): OpenedSession | null {
    if (id.length > LONGEST_TEXT) return null;
    const sealed = Buffer.from(id, 'base64url');
    if (sealed.byteLength < SHORTEST || sealed[0] !== VERSION) return null;
    // The decoder skips unknown characters; only the canonical spelling is accepted, or revocation could be evaded.
    if (sealed.toString('base64url') !== id) return null;
    for (const { key, name } of this.#keys) {
      const plain = decrypt(key, sealed);
      if (plain === null) continue;
      const session = parse(plain, now, ttl);
      return session === null ? null : { ...session, secret: name };
    }
    return null;
  }
}

function namedKey(secret: string): NamedKey {
  if (secret.length < SHORTEST_SECRET) throw new RangeError('a session secret has at least 32 characters');
  const derived = (purpose: string, bytes: Bytes): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, '', `switchyard session ${purpose} v1`, bytes));
  return { key: derived('id', 32), name: derived('secret name', 16).toString('hex') };
}

function decrypt(key: Buffer, sealed: Buffer): Buffer | null {
  const end = sealed.byteLength - TAG;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + NONCE), { authTagLength: TAG });
    decipher.setAAD(sealed.subarray(0, 1));
    decipher.setAuthTag(sealed.subarray(end));
    const plain = decipher.update(sealed.subarray(1 + NONCE, end));
    decipher.final();
    return plain;
  } catch {
    return null;
  }
}

function parse(plain: Buffer, now: Seconds, ttl: Seconds): SealedSession | null {
  const issuedAt = plain.readUInt32LE(17);
  if (issuedAt + ttl < now || issuedAt > now + MAX_SKEW) return null;
  const capabilitiesEnd = FIXED + plain.readUInt16LE(37);
  const infoEnd = capabilitiesEnd + plain.readUInt16LE(39);
  if (infoEnd > plain.byteLength) return null;
  const subject = new Int32Array(4);
  for (let word = 0; word < 4; word += 1) subject[word] = plain.readInt32LE(1 + 4 * word);
  return {
    revision: plain.readUInt8(0),
    capabilities: plain.subarray(FIXED, capabilitiesEnd),
    clientInfo: plain.subarray(capabilitiesEnd, infoEnd),
    subject,
    issuedAt,
    viewBase: plain.toString('latin1', infoEnd),
  };
}
