/** Opaque handles that only the gateway can read: `requestState` of parked calls, task ids. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

const NONCE = 12;
const TAG = 16;

interface SealingKey {
  readonly seal: Buffer;
  /** Derives the nonces of deterministic handles. */
  readonly nonce: Buffer;
}

/**
 * Seals bytes into visible ASCII with AES-256-GCM, with a separate key for each purpose. Deterministic handles of equal
 * content are equal (the nonce is a MAC of the content, as RFC 8452 section 1 motivates); random handles always differ.
 */
export class HandleSealer {
  readonly #purpose: string;
  readonly #prefix: string;
  /** Newest first. */
  #keys!: readonly [SealingKey, ...SealingKey[]];

  /**
   * @param secrets newest first, each at least 32 characters; the first seals, all open
   * @param purpose separates the keys of different kinds of handles
   * @param prefix what every handle starts with, so that other texts are recognized without decryption
   * @throws RangeError without a secret
   */
  constructor(secrets: readonly string[], purpose: string, prefix: string) {
    this.#purpose = purpose;
    this.#prefix = prefix;
    this.reconfigure(secrets);
  }

  /** Follows a reload: handles that were sealed with a removed secret no longer open. */
  reconfigure(secrets: readonly string[]): void {
    const [newest, ...older] = secrets.map((secret) => this.#derive(secret));
    if (newest === undefined) throw new RangeError('sealing needs at least one secret');
    this.#keys = [newest, ...older];
  }

  #derive(secret: string): SealingKey {
    return {
      seal: Buffer.from(hkdfSync('sha256', secret, '', `switchyard handle v1 ${this.#purpose}`, 32)),
      nonce: Buffer.from(hkdfSync('sha256', secret, '', `switchyard handle nonce v1 ${this.#purpose}`, 32)),
    };
  }

  /** Whether a text starts like a handle of this kind. */
  hasPrefix(text: string): boolean {
    return text.startsWith(this.#prefix);
  }

  /** @param deterministic equal content gives equal handles */
  seal(content: Uint8Array, deterministic: boolean): string {
    const [{ seal, nonce: nonceKey }] = this.#keys;
    const nonce = deterministic
      ? createHmac('sha256', nonceKey).update(content).digest().subarray(0, NONCE)
      : randomBytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', seal, nonce);
    const body = cipher.update(content);
    cipher.final();
    return this.#prefix + Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64url');
  }

  /** The content of a handle; null when it was not sealed with one of the secrets, or was changed. */
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
