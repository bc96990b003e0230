/** Where the browser of a user comes back to during `switchyard login`. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Milliseconds } from '../units.js';

/** Answers the browser. @throws an error whose message it is shown */
export type CallbackHandler = (query: URLSearchParams) => Promise<string>;

/** A listener on loopback for one redirect. */
export class Callback {
  readonly #server: Server;
  readonly #path: string;
  #handler: CallbackHandler = () => Promise.reject(new Error('The login has not begun yet.'));
  #isHandling = false;

  private constructor(path: string) {
    this.#path = path;
    this.#server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', 'http://localhost');
      if (request.method !== 'GET' || url.pathname !== this.#path || this.#isHandling) {
        response.writeHead(404).end();
        return;
      }
      this.#isHandling = true;
      const answer = (status: number, text: string): void => {
        this.#isHandling = false;
        const headers = {
          'content-type': 'text/plain; charset=utf-8',
          connection: 'close',
          'referrer-policy': 'no-referrer',
        };
        response.writeHead(status, headers).end(`${text}\n`);
      };
      this.#handler(url.searchParams).then(
        (text) => answer(200, text),
        (error: unknown) => answer(400, error instanceof Error ? error.message : String(error)),
      );
    });
  }

  /**
   * @param url loopback URL; port 0 = any
   * @throws what listening throws
   */
  static async open(url: URL): Promise<Callback> {
    const callback = new Callback(url.pathname);
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    await new Promise<void>((resolve, reject) => {
      callback.#server.once('error', reject);
      callback.#server.listen(url.port === '' ? 0 : Number(url.port), host, resolve);
    });
    return callback;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Waits for a redirect that `handler` accepts; one that it refuses is answered with its message, and the wait goes on.
   *
   * @returns false = none came in time
   */
  async wait(handler: CallbackHandler, timeoutMs: Milliseconds): Promise<boolean> {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#handler = async (query) => {
        const text = await handler(query);
        clearTimeout(timer);
        resolve(true);
        return text;
      };
    });
  }

  /** Ends when the answers have reached the browser. */
  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeIdleConnections();
    });
  }
}
