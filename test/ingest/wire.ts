import { request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';
import { until } from '../until.ts';

export type Reply = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string };

/** One request over Node's client. */
export function send(
  port: number,
  body: string | Uint8Array = '',
  headers: OutgoingHttpHeaders = {},
  { method = 'POST', path = '/' } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('latin1');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      response.on('error', reject);
    });
    request.on('error', reject).end(body);
  });
}

/** A connection on which each byte can be chosen. */
export class Wire {
  readonly socket: Socket;
  received = '';
  closed = false;
  error: string | undefined;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1');
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code;
    });
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  write(data: string | Uint8Array): this {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
    return this;
  }

  /** The status of each answer so far. */
  get statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
  }

  /** @returns the milliseconds that it took. */
  async until(happened: (wire: this) => boolean): Promise<number> {
    const start = performance.now();
    await until(() => happened(this));
    return performance.now() - start;
  }

  /** Until the system has taken the connection. */
  async connected(): Promise<this> {
    await this.until(({ socket }) => !socket.connecting);
    return this;
  }
}

/** A request's head, with a Host. */
export function head(headers: readonly string[], line = 'POST / HTTP/1.1'): string {
  return [line, 'Host: ingest.test', ...headers, '', ''].join('\r\n');
}
