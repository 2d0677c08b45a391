import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type RequestsOf, requestBytes } from './requests.ts';

/** So many requests over so many connections, each of which waits for its answer before it sends the next. */
export type Load = {
  readonly port: number;
  readonly connections: number;
  readonly count: number;
  readonly of: RequestsOf;
};

export type Loaded = {
  readonly seconds: number;
  /** Milliseconds to each answer, sorted. */
  readonly latencies: readonly number[];
  /** How many answers had another status than 2xx. */
  readonly failed: number;
};

/** Makes the load from a process of its own. @param onStart once all is prepared, right before the first request. */
export async function load(options: Load, onStart: () => void = () => {}): Promise<Loaded> {
  const child = fork(import.meta.filename, ['load'], { serialization: 'advanced' });
  const died = once(child, 'exit').then(() => {
    throw new Error('The client ended.');
  });
  const message = async () => (await Promise.race([once(child, 'message'), died]))[0];
  child.send(options);
  await message();
  onStart();
  child.send('go');
  const loaded = (await message()) as Loaded;
  died.catch(() => {});
  child.disconnect();
  return loaded;
}

/** The nth of a hundred, of sorted numbers. */
export function percentile(sorted: readonly number[], n: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * n) / 100))] ?? Number.NaN;
}

/** A connection without an HTTP client's costs: writes prepared bytes, and reads each answer to its end. */
function connection(port: number, next: () => Buffer | undefined, onAnswer: (status: number, ms: number) => void) {
  return new Promise<void>((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let sent = 0;
    let received = '';
    const send = () => {
      const request = next();
      if (request === undefined) {
        socket.end();
        resolve();
        return;
      }
      sent = performance.now();
      socket.write(request);
    };
    socket.once('connect', send);
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('The server closed the connection.')));
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      const head = received.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = /\r\ncontent-length: *(\d+)/i.exec(received.slice(0, head + 2))?.[1];
      const isWhole =
        length === undefined
          ? received.endsWith('0\r\n\r\n') || isBodiless(received)
          : received.length >= head + 4 + Number(length);
      if (!isWhole) return;
      onAnswer(Number(received.slice(9, 12)), performance.now() - sent);
      received = '';
      send();
    });
  });
}

function isBodiless(answer: string): boolean {
  return answer.startsWith('HTTP/1.1 204') || answer.startsWith('HTTP/1.1 304');
}

if (process.argv[2] === 'load' && process.send !== undefined) {
  const [{ port, connections, count, of }] = (await once(process, 'message')) as [Load];
  const requests = requestBytes(of, count);
  process.send('ready');
  await once(process, 'message');
  const latencies: number[] = [];
  let failed = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: connections }, () =>
      connection(
        port,
        () => requests.pop(),
        (status, ms) => {
          latencies.push(ms);
          if (status < 200 || status > 299) failed++;
        },
      ),
    ),
  );
  const seconds = (performance.now() - began) / 1000;
  process.send({ seconds, latencies: latencies.sort((a, b) => a - b), failed } satisfies Loaded);
}
