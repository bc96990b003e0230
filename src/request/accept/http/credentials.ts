import { BlockList, isIP } from 'node:net';
import type { AuthSnapshot } from '../../../config/snapshot/auth.js';
import { addNetwork } from '../../../shared/networks.js';
import { CREDENTIAL_SEPARATOR, Scheme } from '../../../shared/scheme.js';
import type { Peer } from '../../exchange/index.js';

/** A provider as accept sees it: where its credential stands in a request. Positions are those of `AcceptRules.credentialNames`. */
interface Source {
  readonly scheme: number;
  /** The header of the credential or of the subject; -1 = `Authorization`. */
  readonly header: number;
  /** The headers that belong to it, -1 = none; only where {@link proxies} is not null. */
  readonly scopes: number;
  readonly permissions: number;
  /** Who may set these headers; null = every client. */
  readonly proxies: BlockList | null;
}

/** The credential that was found. */
export interface Credential {
  readonly scheme: number;
  readonly token: string;
}

const NOTHING: Credential = Object.freeze({ scheme: Scheme.none, token: '' });
const UNTAKEN: Credential = Object.freeze({ scheme: Scheme.other, token: '' });
// Only the space ends a token: another character in it makes it an invalid one, which no later provider makes good.
const BEARER = /^bearer +([^ ]+)$/i;
const BASIC = /^basic +([^ ]+)$/i;

/** Where the credentials for one `auth` are looked for, in the order of its providers in the configuration; compiled once. */
export class CredentialRules {
  /** Whether no credential counts. */
  readonly isOpen: boolean;
  /** Whether `Authorization: Bearer` is all that counts. */
  readonly isBearerOnly: boolean;
  /** The first peer whose headers of a proxy were ignored since it is none; empty = none, or it was read. */
  ignoredProxy = '';
  readonly #sources: readonly Source[];
  #hasIgnored = false;
  // Requests come from few proxies, whose address is then recognised by one comparison.
  #goodProxy = '';

  /** @param headers gets the positions of the headers that carry credentials, by lower-case name */
  constructor({ providers }: AuthSnapshot, headers: Map<string, number>) {
    const place = (name: string | null): number => {
      if (name === null) return -1;
      headers.set(name, headers.get(name) ?? headers.size);
      return headers.get(name) ?? -1;
    };
    const sources: Source[] = [];
    for (const provider of providers) {
      const { scheme } = provider;
      if (sources.some((source) => source.scheme === scheme)) continue;
      if (provider.type === 'proxyHeader') {
        const proxies = new BlockList();
        for (const network of provider.trustedProxies) addNetwork(proxies, network);
        const { subjectHeader, scopesHeader, permissionsHeader } = provider;
        const places = { scopes: place(scopesHeader), permissions: place(permissionsHeader) };
        sources.push({ scheme, header: place(subjectHeader), ...places, proxies });
      } else {
        const header = provider.type === 'apiKey' ? place(provider.header) : -1;
        sources.push({ scheme, header, scopes: -1, permissions: -1, proxies: null });
      }
    }
    this.#sources = sources;
    this.isOpen = sources.length === 0;
    this.isBearerOnly = sources.every(({ scheme }) => scheme === Scheme.bearer);
  }

  /**
   * The credential of the first provider for which there is one.
   *
   * @param authorization value of `Authorization`; empty = none
   * @param values of the headers by position, each null = not sent, '' = nothing that can be one; null = none was sent
   */
  find(authorization: string, values: readonly (string | null)[] | null, peer: Peer): Credential {
    for (const source of this.#sources) {
      const { scheme, header } = source;
      if (header < 0) {
        const match = (scheme === Scheme.basic ? BASIC : BEARER).exec(authorization);
        if (match !== null) return { scheme, token: match[1] ?? '' };
        continue;
      }
      const value = values?.[header] ?? '';
      if (value === '') continue;
      if (source.proxies === null) return { scheme, token: value };
      if (this.#trusts(source.proxies, peer)) return { scheme, token: this.#joined(source, values ?? [], value) };
    }
    return authorization === '' ? NOTHING : UNTAKEN;
  }

  #joined({ scopes, permissions }: Source, values: readonly (string | null)[], subject: string): string {
    return [subject, values[scopes] ?? '', values[permissions] ?? ''].join(CREDENTIAL_SEPARATOR);
  }

  #trusts(proxies: BlockList, peer: Peer): boolean {
    const address = peer.remoteAddress();
    if (address === this.#goodProxy && address !== '') return true;
    const family = isIP(address);
    if (family !== 0 && proxies.check(address, family === 4 ? 'ipv4' : 'ipv6')) {
      this.#goodProxy = address;
      return true;
    }
    if (!this.#hasIgnored) this.ignoredProxy = address;
    this.#hasIgnored = true;
    return false;
  }
}
