import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

const [HEADERS, SETTINGS, PING] = [1, 4, 6];
const ACK = 1;
const PREFACE_BYTES = 24;
const HEAD_BYTES = 9;

/**
 * An HTTP/2 server that greets, takes calls and answers none, and answers a ping only when it is told to, which no
 * server of Node's can be told. Source: RFC 9113, 4.1.
 */
export class RawHttp2Server {
  readonly #server = createServer((socket) => this.#take(socket));
  readonly #greets: boolean;
  readonly #heard = Promise.withResolvers<void>();
  #socket: Socket | undefined;
  #bytes = Buffer.alloc(0);
  #lastPing: Buffer = Buffer.alloc(8);
  readonly #trips: (() => void)[] = [];
  calls = 0;
  pings = 0;

  private constructor(greets: boolean) {
    this.#greets = greets;
  }

  static async start({ greets = true } = {}): Promise<RawHttp2Server> {
    const server = new RawHttp2Server(greets);
    await once(server.#server.listen(0, '127.0.0.1'), 'listening');
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves when the client has said something. */
  heard(): Promise<void> {
    return this.#heard.promise;
  }

  /** Answers the last ping. */
  pong(): void {
    this.#send(PING, ACK, this.#lastPing);
  }

  /** Resolves when the client has read all that was sent so far, and what it sent before has arrived. */
  async roundTrip(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#trips.push(resolve);
    this.#send(PING, 0, Buffer.alloc(8));
    await promise;
  }

  stop(): void {
    this.#socket?.destroy();
    this.#server.close();
  }

  #take(socket: Socket): void {
    this.#socket = socket.on('error', () => {});
    let greeted = false;
    socket.on('data', (chunk) => {
      this.#heard.resolve();
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      if (!greeted) {
        if (this.#bytes.length < PREFACE_BYTES) return;
        this.#bytes = this.#bytes.subarray(PREFACE_BYTES);
        greeted = true;
        if (this.#greets) this.#send(SETTINGS, 0);
      }
      this.#read();
    });
  }

  #read(): void {
    while (this.#bytes.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < end) return;
      const [type, flags] = [this.#bytes[3], this.#bytes[4]];
      const payload = this.#bytes.subarray(HEAD_BYTES, end);
      this.#bytes = this.#bytes.subarray(end);
      if (type === HEADERS) this.calls++;
      if (type === SETTINGS && flags !== ACK && this.#greets) this.#send(SETTINGS, ACK);
      if (type === PING && flags === ACK) this.#trips.shift()?.();
      if (type === PING && flags !== ACK) {
        this.pings++;
        this.#lastPing = Buffer.from(payload);
      }
    }
  }

  #send(type: number, flags: number, payload: Buffer = Buffer.alloc(0)): void {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    this.#socket?.write(Buffer.concat([head, payload]));
  }
}
