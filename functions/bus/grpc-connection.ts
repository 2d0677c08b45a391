import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { CODE } from '../grpc.ts';

/**
 * While a call is in flight, a connection is asked whether it still lives: a silent one is over after at most 4.5 s, and
 * what was in flight can go by another in the time that it has. A slow Pub/Sub answers pings at once; a slow network
 * may take 3 s for one. More pings than that, and servers close the connection (gRPC's A8).
 */
const PING_AFTER_MS = 1_500;
const PING_PATIENCE_MS = 3_000;

/** Node refuses calls beyond 10 MB that wait to be sent; how much may wait is for the caller to bound. */
const MAX_SESSION_MEGABYTES = 1_000;

/** Names and values in turns, names in lower case: Node takes them as they are, and makes no object of them. */
export type Headers = readonly string[];

/** How a call failed: by gRPC's code, in the server's words or ours. */
export class CallFailed extends Error {
  override readonly name = 'CallFailed';
  readonly code: number;
  readonly details: string;

  constructor(code: number, details: string) {
    super(`${code} ${details}`);
    this.code = code;
    this.details = details;
  }
}

/**
 * gRPC calls of one message each way, over one HTTP/2 connection of Node's own. It connects once, and is replaced by its
 * owner: there is no balancing, no retry and no interceptor here, which are most of what a call of a general client costs.
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export class GrpcConnection {
  readonly #session: ClientHttp2Session;
  readonly #target: Headers;
  readonly #calls = new Set<ClientHttp2Stream>();
  /** Why the connection is over, as far as is known. */
  #why = 'the connection was closed';
  #pulse: NodeJS.Timeout | undefined;
  /** Resolves once the server has greeted: somebody who only accepts connections may be nobody. */
  readonly ready: Promise<void>;
  #isReady = false;

  /** @param origin `https://HOST:PORT`, or `http:` for one without TLS. */
  constructor(origin: string) {
    const { host, protocol } = new URL(origin);
    this.#target = [':method', 'POST', ':scheme', protocol.slice(0, -1), ':authority', host];
    this.#session = connect(origin, { settings: { enablePush: false }, maxSessionMemory: MAX_SESSION_MEGABYTES });
    this.ready = new Promise((resolve, reject) => {
      this.#session
        .once('remoteSettings', () => {
          this.#isReady = true;
          resolve();
        })
        .once('close', () => reject(new CallFailed(CODE.UNAVAILABLE, this.#why)));
    });
    this.ready.catch(() => {}); // whoever calls is told
    this.#session
      .on('error', ({ message }) => {
        this.#why = message;
      })
      .on('goaway', (code) => {
        this.#why = `the server ended the connection (HTTP/2 code ${code})`;
      });
  }

  /** Whether calls may begin on it, or will once it is ready. What is in flight may end well where they may not. */
  get isUsable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  get isReady(): boolean {
    return this.#isReady && this.isUsable;
  }

  /**
   * @param path `/PACKAGE.SERVICE/METHOD`.
   * @param message with gRPC's prefix, which the answer has too.
   * @param timeoutMs after which nothing more is sent, and the answer is not waited for.
   * @throws CallFailed
   */
  call(path: string, headers: Headers, message: Buffer, timeoutMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const fail = (code: number, details: string) => reject(new CallFailed(code, details));
      if (timeoutMs <= 0) return fail(CODE.DEADLINE_EXCEEDED, 'there was no time left to ask');
      if (!this.isUsable) return fail(CODE.UNAVAILABLE, this.#why);
      const stream = this.#session.request([
        ...this.#target,
        ':path',
        path,
        'te',
        'trailers',
        'content-type',
        'application/grpc',
        'grpc-timeout',
        `${Math.ceil(timeoutMs / 1_000)}S`, // in whole seconds, of which HTTP/2 remembers the few that there are
        ...headers,
      ]);
      this.#calls.add(stream);
      this.#pulse ??= setTimeout(this.#ping, PING_AFTER_MS);
      const late = setTimeout(() => {
        fail(CODE.DEADLINE_EXCEEDED, `no answer within ${Math.round(timeoutMs)} ms`);
        stream.close(constants.NGHTTP2_CANCEL);
      }, timeoutMs);
      const chunks: Buffer[] = [];
      let http = 0;
      let isAnswered = false;
      const take = (headers: Readonly<Record<string, unknown>>) => {
        const status = statusOf(headers);
        if (status === null) return;
        isAnswered = true;
        // Not only when the stream has closed, some turns of the event loop later.
        if (status.code === 0) resolve(Buffer.concat(chunks));
        else fail(status.code, status.details);
      };
      stream
        .on('response', (headers) => {
          http = Number(headers[':status']);
          take(headers);
        })
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('trailers', take)
        .on('error', () => {}) // told when it closes
        .on('close', () => {
          clearTimeout(late);
          this.#calls.delete(stream);
          if (isAnswered) return;
          if (http > 0 && http !== 200) fail(codeOfHttp(http), `HTTP status ${http}`);
          else fail(...this.#unanswered(stream));
        });
      stream.end(message);
    });
  }

  /** Ends the connection, and what is in flight with it. */
  close(): void {
    clearTimeout(this.#pulse);
    this.#session.destroy();
  }

  #unanswered({ rstCode }: ClientHttp2Stream): [code: number, details: string] {
    if (!this.isUsable) return [CODE.UNAVAILABLE, this.#why];
    if (rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM)
      return [CODE.RESOURCE_EXHAUSTED, 'the server asks for fewer calls'];
    return [CODE.UNAVAILABLE, `the server ended the call without an answer (HTTP/2 code ${rstCode})`];
  }

  readonly #ping = () => {
    this.#pulse = undefined;
    if (this.#calls.size === 0 || this.#session.destroyed) return;
    const silent = setTimeout(() => {
      this.#why = `the connection is silent: a ping was not answered within ${PING_PATIENCE_MS} ms`;
      this.#session.destroy();
    }, PING_PATIENCE_MS);
    this.#session.ping((error) => {
      clearTimeout(silent);
      if (error === null && this.#calls.size > 0) this.#pulse ??= setTimeout(this.#ping, PING_AFTER_MS);
    });
  };
}

type Status = { readonly code: number; readonly details: string };

/** The status that headers bring: the last ones of an answer, or the only ones. */
function statusOf(headers: Readonly<Record<string, unknown>>): Status | null {
  const { 'grpc-status': status, 'grpc-message': message = '' } = headers;
  if (status === undefined) return null;
  const code = Number(status);
  return { code: Number.isInteger(code) ? code : CODE.UNKNOWN, details: decoded(String(message)) };
}

function decoded(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

/** Of an answer that is not gRPC's. Source: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
function codeOfHttp(status: number): number {
  switch (status) {
    case 400:
      return CODE.INTERNAL;
    case 401:
      return CODE.UNAUTHENTICATED;
    case 403:
      return CODE.PERMISSION_DENIED;
    case 429:
    case 502:
    case 503:
    case 504:
      return CODE.UNAVAILABLE;
    default:
      return CODE.UNKNOWN;
  }
}
