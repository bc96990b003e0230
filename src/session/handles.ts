/** Handles that clients carry and only the gateway reads: `requestState` of parked calls, task ids. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

const NONCE = 12;
const TAG = 16;

/**
 * Seals bytes into visible ASCII with AES-256-GCM, under a key of its own for each purpose. A deterministic handle is
 * the same for the same content (its nonce is a MAC of the content, as in RFC 8452's reasoning), a random one never.
 */
export class HandleSealer {
  readonly #purpose: string;
  readonly #prefix: string;
  #keys: readonly { readonly seal: Buffer; readonly nonce: Buffer }[] = [];

  /**
   * @param secrets newest first, each at least 32 characters; the first seals, all open
   * @param purpose separates the keys of different kinds of handles
   * @param prefix what every handle starts with, so that others are told apart without cryptography
   */
  constructor(secrets: readonly string[], purpose: string, prefix: string) {
    this.#purpose = purpose;
    this.#prefix = prefix;
    this.reconfigure(secrets);
  }

  /** Follows a reload: handles that were sealed with a secret which is not there any more are none of ours. */
  reconfigure(secrets: readonly string[]): void {
    if (secrets.length === 0) throw new RangeError('sealing needs at least one secret');
    this.#keys = secrets.map((secret) => ({
      seal: Buffer.from(hkdfSync('sha256', secret, '', `switchyard handle v1 ${this.#purpose}`, 32)),
      nonce: Buffer.from(hkdfSync('sha256', secret, '', `switchyard handle nonce v1 ${this.#purpose}`, 32)),
    }));
  }

  /** Whether a text looks like a handle of this kind. */
  hasPrefix(text: string): boolean {
    return text.startsWith(this.#prefix);
  }

  /** @param deterministic the same content gives the same handle */
  seal(content: Uint8Array, deterministic: boolean): string {
    const { seal, nonce: nonceKey } = this.#keys[0]!;
    const nonce = deterministic
      ? createHmac('sha256', nonceKey).update(content).digest().subarray(0, NONCE)
      : randomBytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', seal, nonce);
    const body = cipher.update(content);
    cipher.final();
    return this.#prefix + Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64url');
  }

  /** What a handle says; null when it is none of ours, or was changed. */
  open(handle: string): Buffer | null {
    if (!this.hasPrefix(handle)) return null;
    const text = handle.slice(this.#prefix.length);
    const sealed = Buffer.from(text, 'base64url');
    if (sealed.length < NONCE + TAG || sealed.toString('base64url') !== text) return null;
    for (const { seal } of this.#keys) {
      const content = decrypt(seal, sealed);
      if (content !== null) return content;
    }
    return null;
  }
}

function decrypt(key: Buffer, sealed: Buffer): Buffer | null {
  const end = sealed.length - TAG;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAuthTag(sealed.subarray(end));
    const content = decipher.update(sealed.subarray(NONCE, end));
    decipher.final();
    return content;
  } catch {
    return null;
  }
}
