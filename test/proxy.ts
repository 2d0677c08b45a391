import { type AddressInfo, createServer, connect as open, type Socket } from 'node:net';
import { Transform } from 'node:stream';

export type TcpProxy = {
  /** `host:port` to use instead of the target. */
  readonly host: string;
  /** Ends every connection and refuses new ones. */
  cut(): Promise<void>;
  /** Connections that are open now stay open and silent for good; new ones pass. */
  halfOpen(): void;
  /** All connections, new ones too, stay open and silent. */
  silence(): void;
  /** Everything that is sent takes so much longer, each way: a long way, and a narrow one. */
  delay(milliseconds: number): void;
  /** Everything that is sent takes so much longer, each way: a long way, as wide as before. */
  lengthen(milliseconds: number): void;
  /** New connections pass. */
  restore(): Promise<void>;
  close(): Promise<void>;
};

/**
 * A TCP proxy in front of an emulator, that fails as networks do.
 * @param target `host:port`, or what chooses one for each connection; null refuses it.
 */
export async function proxyTo(target: string | (() => string | null)): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let silent = false;
  let lag = 0;
  let length = 0;
  const slow = () =>
    new Transform({
      transform: (chunk, _encoding, done) => {
        if (lag === 0) done(null, chunk);
        else setTimeout(done, lag, null, chunk);
      },
    });
  const long = () =>
    new Transform({
      transform(chunk, _encoding, done) {
        if (length === 0) return done(null, chunk);
        setTimeout(() => this.push(chunk), length);
        done();
      },
      flush: (done) => void setTimeout(done, length),
    });
  const mute = ([near, far]: readonly [Socket, Socket]) => {
    near.unpipe();
    far.unpipe();
    near.pause();
    far.pause();
  };
  const server = createServer((near) => {
    const chosen = typeof target === 'string' ? target : target();
    if (chosen === null) {
      near.destroy();
      return;
    }
    const [host = '', port = ''] = chosen.split(':');
    const far = open(Number(port), host);
    const pair = [near, far] as const;
    pairs.add(pair);
    near.pipe(slow()).pipe(long()).pipe(far).pipe(slow()).pipe(long()).pipe(near);
    for (const socket of pair)
      socket
        .on('error', () => {})
        .on('close', () => {
          pairs.delete(pair);
          near.destroy();
          far.destroy();
        });
    if (silent) mute(pair);
  });
  const listen = (at: number) =>
    new Promise<void>((resolve, reject) => server.once('error', reject).listen(at, '127.0.0.1', resolve));
  await listen(0);
  const own = (server.address() as AddressInfo).port;
  const cut = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const [near] of pairs) near.destroy();
    await closed;
  };
  return {
    host: `127.0.0.1:${own}`,
    cut,
    halfOpen: () => {
      for (const pair of pairs) mute(pair);
    },
    silence: () => {
      silent = true;
      for (const pair of pairs) mute(pair);
    },
    delay: (milliseconds) => {
      lag = milliseconds;
    },
    lengthen: (milliseconds) => {
      length = milliseconds;
    },
    restore: async () => {
      silent = false;
      lag = 0;
      length = 0;
      if (!server.listening) await listen(own);
    },
    close: cut,
  };
}
