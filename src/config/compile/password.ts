import { parseScrypt } from '../../shared/scrypt-hash.js';

/** The most that one check of a bcrypt hash may cost: about a second. */
const MAX_COST = 14;

/** Why a password of the configuration cannot be used; null = it can. */
export function passwordProblem(password: string): string | null {
  if (password.startsWith('$scrypt$')) {
    return parseScrypt(password) === null
      ? 'is no scrypt hash that can be used: $scrypt$ln=LN,r=R,p=P$SALT$HASH in base64 without padding, with ln at most 20, at most 256 MiB, p at most 16 and a hash of at least 16 bytes'
      : null;
  }
  const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(password);
  if (bcrypt !== null) {
    const cost = Number(bcrypt[1]);
    return cost >= 4 && cost <= MAX_COST ? null : `is a bcrypt hash with a cost that is not between 4 and ${MAX_COST}`;
  }
  if (/^\$2[abxy]?\$/.test(password)) return 'is no whole bcrypt hash';
  return /^\$(argon2|pbkdf2|[156]\$|y\$|apr1)/.test(password)
    ? 'is hashed in a way that the gateway does not know; use scrypt or bcrypt'
    : null;
}
