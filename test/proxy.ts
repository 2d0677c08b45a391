import { type AddressInfo, createServer, connect as open, type Socket } from 'node:net';

export type TcpProxy = {
  /** `host:port` to use instead of the target. */
  readonly host: string;
  /** Ends every connection and refuses new ones. */
  cut(): Promise<void>;
  /** Connections that are open now stay open and silent for good; new ones pass. */
  halfOpen(): void;
  /** All connections, new ones too, stay open and silent. */
  silence(): void;
  /** New connections pass. */
  restore(): Promise<void>;
  close(): Promise<void>;
};

/** A TCP proxy in front of an emulator, that fails as networks do. */
export async function proxyTo(target: string): Promise<TcpProxy> {
  const [host = '', port = ''] = target.split(':');
  const pairs = new Set<readonly [Socket, Socket]>();
  let silent = false;
  const mute = ([near, far]: readonly [Socket, Socket]) => {
    near.unpipe(far);
    far.unpipe(near);
    near.pause();
    far.pause();
  };
  const server = createServer((near) => {
    const far = open(Number(port), host);
    const pair = [near, far] as const;
    pairs.add(pair);
    near.pipe(far).pipe(near);
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
    restore: async () => {
      silent = false;
      if (!server.listening) await listen(own);
    },
    close: cut,
  };
}
