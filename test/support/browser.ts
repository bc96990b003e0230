/** The browser of a user: it keeps cookies by host, follows redirects, and clicks the link of a page when told to. */

/** What a browser shows. */
export interface Page {
  readonly status: number;
  readonly text: string;
  /** Where its redirects have led. */
  readonly address: string;
}

/** See the file comment. */
export class Browser {
  /** By host and name. */
  readonly #cookies = new Map<string, Map<string, string>>();

  /** Opens an address. */
  async open(address: string): Promise<Page> {
    for (let url = new URL(address); ; ) {
      const response = await this.#request(url);
      const location = response.headers.get('location');
      if (location === null) return { status: response.status, text: await response.text(), address: url.href };
      url = new URL(location, url);
    }
  }

  /** Where an address redirects to, which is not opened. */
  async redirectOf(address: string): Promise<string> {
    return (await this.#request(new URL(address))).headers.get('location') ?? '';
  }

  async #request(url: URL): Promise<Response> {
    const known = this.#cookies.get(url.hostname) ?? new Map<string, string>();
    this.#cookies.set(url.hostname, known);
    const cookie = [...known].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: cookie === '' ? {} : { cookie } });
    for (const set of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      known.set(name, value);
    }
    return response;
  }

  /** Clicks the link of a page; a page without one stays. */
  async click(page: Page): Promise<Page> {
    const href = linkOf(page);
    return href === null ? page : await this.open(href);
  }

  /** What a user does who agrees to everything. */
  async logIn(link: string): Promise<Page> {
    return await this.click(await this.open(link));
  }
}

/** Where the link of a page leads; null = it has none. */
export function linkOf({ address, text }: Page): string | null {
  const href = /<a href="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&');
  return href === undefined ? null : new URL(href, address).href;
}
