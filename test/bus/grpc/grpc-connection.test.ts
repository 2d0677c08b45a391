import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  constants,
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { GrpcConnection } from '../../../functions/bus/grpc-connection.ts';
import { CODE } from '../../../functions/grpc.ts';
import { until } from '../../until.ts';
import { RawHttp2Server } from './raw-server.ts';

const PATH = '/package.Service/Method';
const QUESTION = Buffer.from('\0\0\0\0\x01q', 'latin1');
const ANSWER = Buffer.from('\0\0\0\0\x03yes', 'latin1');
const HEADERS = { ':status': 200, 'content-type': 'application/grpc' };

type Handle = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

const STATUS: (status: Record<string, string>, data?: readonly Buffer[]) => Handle =
  (status, data = []) =>
  (stream) => {
    stream.respond(HEADERS, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(status));
    for (const chunk of data) stream.write(chunk);
    stream.end();
  };

const key = readFileSync(join(import.meta.dirname, 'localhost.key.pem'));
const cert = readFileSync(join(import.meta.dirname, 'localhost.cert.pem'), 'utf8');

/** A connection to a server of its own, whose calls go to the handler. */
async function connected(
  handle: Handle,
  { secure = false, settings = {} }: { secure?: boolean; settings?: Settings } = {},
) {
  const server: Http2Server = secure ? createSecureServer({ key, cert }) : createServer({ settings });
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session) => sessions.push(session)).on('stream', handle);
  await listening(server);
  const { port } = server.address() as AddressInfo;
  const connection = new GrpcConnection(`${secure ? 'https' : 'http'}://localhost:${port}`);
  onTestFinished(() => {
    connection.close();
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { connection, sessions, server };
}

async function listening(server: Server | Http2Server): Promise<void> {
  await once(server.listen(0, 'localhost'), 'listening');
}

describe('a call', () => {
  test('is what gRPC says it is, and is answered', async () => {
    const asked: IncomingHttpHeaders[] = [];
    const { connection } = await connected((stream, headers) => {
      asked.push(headers);
      stream.on('data', (chunk) => expect(chunk).toEqual(QUESTION));
      stream.on('end', () => STATUS({ 'grpc-status': '0' }, [ANSWER])(stream, headers));
    });
    const headers = ['authorization', 'Bearer x', 'x-more', 'of it'];
    expect(await connection.call(PATH, headers, QUESTION, 59_000.5)).toEqual(ANSWER);
    expect(asked).toMatchObject([
      {
        ':method': 'POST',
        ':scheme': 'http',
        ':path': PATH,
        ':authority': expect.stringMatching(/^localhost:\d+$/),
        te: 'trailers',
        'content-type': 'application/grpc',
        'grpc-timeout': '60S',
        authorization: 'Bearer x',
        'x-more': 'of it',
      },
    ]);
  });

  test('is answered where the answer comes byte by byte, and where it is empty', async () => {
    let data = [...ANSWER].map((byte) => Buffer.from([byte]));
    const { connection } = await connected((stream, headers) => STATUS({ 'grpc-status': '0' }, data)(stream, headers));
    expect(await connection.call(PATH, [], QUESTION, 60_000)).toEqual(ANSWER);
    data = [];
    expect(await connection.call(PATH, [], QUESTION, 60_000)).toHaveLength(0);
  });

  test('is one of many at once, each with its own answer', async () => {
    const { connection } = await connected((stream, headers) =>
      STATUS({ 'grpc-status': '0' }, [Buffer.from(String(headers['x-call']))])(stream, headers),
    );
    const calls = Array.from({ length: 300 }, (_, i) => String(i));
    const answers = await Promise.all(calls.map((i) => connection.call(PATH, ['x-call', i], QUESTION, 60_000)));
    expect(answers.map(String)).toEqual(calls);
  });

  test('waits for its turn where the server takes few at once', async () => {
    let [most, now] = [0, 0];
    const handle: Handle = (stream, headers) => {
      now += 1;
      most = Math.max(most, now);
      stream.on('close', () => now--);
      setImmediate(() => STATUS({ 'grpc-status': '0' }, [ANSWER])(stream, headers));
    };
    const { connection } = await connected(handle, { settings: { maxConcurrentStreams: 2 } });
    await connection.ready;
    const calls = Array.from({ length: 20 }, () => connection.call(PATH, [], QUESTION, 60_000));
    expect(await Promise.all(calls)).toEqual(Array(20).fill(ANSWER));
    expect(most).toBe(2);
  });

  test.each<[string, Handle, number, string]>([
    ['a status', STATUS({ 'grpc-status': '5', 'grpc-message': 'no such topic' }), CODE.NOT_FOUND, 'no such topic'],
    ['a status behind an answer', STATUS({ 'grpc-status': '14' }, [ANSWER]), CODE.UNAVAILABLE, ''],
    [
      'a status with percent signs',
      STATUS({ 'grpc-status': '7', 'grpc-message': 'K%C3%B6nig%20%25' }),
      CODE.PERMISSION_DENIED,
      'König %',
    ],
    ['one with what is none', STATUS({ 'grpc-status': '7', 'grpc-message': '100%' }), CODE.PERMISSION_DENIED, '100%'],
    ['a status that is no number', STATUS({ 'grpc-status': 'fine' }), CODE.UNKNOWN, ''],
    [
      'a status in the first headers, and no more',
      (stream) => stream.respond({ ...HEADERS, 'grpc-status': '8', 'grpc-message': 'too many' }, { endStream: true }),
      CODE.RESOURCE_EXHAUSTED,
      'too many',
    ],
    ...(
      [
        [400, CODE.INTERNAL],
        [401, CODE.UNAUTHENTICATED],
        [403, CODE.PERMISSION_DENIED],
        [404, CODE.UNKNOWN],
        [429, CODE.UNAVAILABLE],
        [500, CODE.UNKNOWN],
        [502, CODE.UNAVAILABLE],
        [503, CODE.UNAVAILABLE],
        [504, CODE.UNAVAILABLE],
      ] as const
    ).map(([status, code]): [string, Handle, number, string] => [
      `HTTP's ${status}`,
      (stream) => {
        stream.respond({ ':status': status, 'content-type': 'text/html' });
        stream.end('<html>');
      },
      code,
      `HTTP status ${status}`,
    ]),
    [
      'no status',
      (stream) => {
        stream.respond(HEADERS);
        stream.end(ANSWER);
      },
      CODE.UNAVAILABLE,
      'the server ended the call without an answer (HTTP/2 code 0)',
    ],
    [
      'a reset',
      (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
      CODE.UNAVAILABLE,
      `the server ended the call without an answer (HTTP/2 code ${constants.NGHTTP2_REFUSED_STREAM})`,
    ],
    [
      'a reset in the middle of the answer',
      (stream) => {
        stream.respond(HEADERS);
        stream.write(ANSWER, () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      },
      CODE.UNAVAILABLE,
      'the server ended the call without an answer',
    ],
    [
      'a reset for being too many',
      (stream) => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM),
      CODE.RESOURCE_EXHAUSTED,
      'the server asks for fewer calls',
    ],
    [
      'the end of the connection',
      (stream) => stream.session?.destroy(),
      CODE.UNAVAILABLE,
      'the server ended the connection (HTTP/2 code 0)',
    ],
  ])('that is answered with %s fails so', async (_, handle, code, details) => {
    const { connection } = await connected((stream, headers) => {
      stream.on('error', () => {});
      handle(stream, headers);
    });
    await expect(connection.call(PATH, [], QUESTION, 60_000)).rejects.toMatchObject({
      code,
      details: details === '' ? '' : expect.stringContaining(details),
    });
  });

  test('that has no time left is not made', async () => {
    const { connection, sessions } = await connected(() => expect.unreachable());
    await connection.ready;
    await expect(connection.call(PATH, [], QUESTION, 0)).rejects.toMatchObject({ code: CODE.DEADLINE_EXCEEDED });
    await new Promise((resolve) => sessions[0]?.ping((...pong) => resolve(pong)));
  });

  test('is answered just before its deadline, and is given up and taken back at it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const streams: ServerHttp2Stream[] = [];
    const { connection } = await connected((stream) => void streams.push(stream.on('error', () => {})));
    await connection.ready;

    const first = connection.call(PATH, [], QUESTION, 1_000);
    await until(() => streams.length === 1);
    vi.advanceTimersByTime(999);
    STATUS({ 'grpc-status': '0' }, [ANSWER])(streams[0] as ServerHttp2Stream, {});
    expect(await first).toEqual(ANSWER);

    const second = connection.call(PATH, [], QUESTION, 1_000);
    await until(() => streams.length === 2);
    const taken = once(streams[1] as ServerHttp2Stream, 'close');
    vi.advanceTimersByTime(1_000);
    await expect(second).rejects.toMatchObject({
      code: CODE.DEADLINE_EXCEEDED,
      details: 'no answer within 1000 ms',
    });
    await taken;
    expect(streams[1]?.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  test.each([1, 30])('holds 9.9 MB, of %d at once', async (count) => {
    let bytes = 0;
    const { connection } = await connected((stream, headers) => {
      stream.on('data', (chunk) => {
        bytes += chunk.length;
      });
      stream.on('end', () => STATUS({ 'grpc-status': '0' }, [ANSWER])(stream, headers));
    });
    const message = Buffer.alloc(9_900_000);
    const calls = Array.from({ length: count }, () => connection.call(PATH, [], message, 120_000));
    expect(await Promise.all(calls)).toEqual(Array(count).fill(ANSWER));
    expect(bytes).toBe(count * message.length);
  });
});

describe('a connection', () => {
  test('that the server ends with GOAWAY still has its answers, and takes no more calls', async () => {
    const streams: ServerHttp2Stream[] = [];
    const { connection, sessions } = await connected((stream) => void streams.push(stream));
    const call = connection.call(PATH, [], QUESTION, 60_000);
    await until(() => streams.length === 1);
    expect(connection.isReady).toBe(true);
    sessions[0]?.goaway(constants.NGHTTP2_NO_ERROR);
    await until(() => !connection.isUsable);
    expect(connection.isReady).toBe(false);
    await expect(connection.call(PATH, [], QUESTION, 60_000)).rejects.toMatchObject({
      code: CODE.UNAVAILABLE,
      details: 'the server ended the connection (HTTP/2 code 0)',
    });
    STATUS({ 'grpc-status': '0' }, [ANSWER])(streams[0] as ServerHttp2Stream, {});
    expect(await call).toEqual(ANSWER);
  });

  test('that the server ends for too many pings fails what is in flight, which may go by another', async () => {
    const { connection } = await connected((stream) => {
      stream.on('error', () => {});
      stream.session?.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
    await expect(connection.call(PATH, [], QUESTION, 60_000)).rejects.toMatchObject({
      code: CODE.UNAVAILABLE,
      details: expect.stringMatching(/ENHANCE_YOUR_CALM|the server ended the connection \(HTTP\/2 code 11\)/),
    });
    expect(connection.isUsable).toBe(false);
  });

  test('that is refused says so, to who waits for it and to who calls', async () => {
    const server = createTcpServer();
    await listening(server);
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const connection = new GrpcConnection(`http://localhost:${port}`);
    const refused = { code: CODE.UNAVAILABLE, details: expect.stringContaining('ECONNREFUSED') };
    await expect(connection.ready).rejects.toMatchObject(refused);
    await expect(connection.call(PATH, [], QUESTION, 60_000)).rejects.toMatchObject(refused);
  });

  test('to somebody who accepts it and says nothing is not ready, until it is closed', async () => {
    const server = await RawHttp2Server.start({ greets: false });
    onTestFinished(() => server.stop());
    const connection = new GrpcConnection(server.origin);
    let ready: unknown = 'waiting';
    const settled = connection.ready.then(
      () => 'ready',
      ({ code }) => code,
    );
    settled.then((outcome) => {
      ready = outcome;
    });
    await server.heard(); // our own greeting: the connection is there
    expect([ready, connection.isReady, connection.isUsable]).toEqual(['waiting', false, true]);
    connection.close();
    expect(await settled).toBe(CODE.UNAVAILABLE);
  });

  test('over TLS is to the one whom the certificate names', async () => {
    const { connection } = await connected(STATUS({ 'grpc-status': '0' }, [ANSWER]), { secure: true });
    await expect(connection.ready).rejects.toMatchObject({
      code: CODE.UNAVAILABLE,
      details: expect.stringMatching(/self-signed certificate/),
    });
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, cert]);
    onTestFinished(() => setDefaultCACertificates(before));
    const trusted = await connected(
      (stream, headers) => STATUS({ 'grpc-status': '0' }, [Buffer.from(String(headers[':scheme']))])(stream, headers),
      { secure: true },
    );
    expect(String(await trusted.connection.call(PATH, [], QUESTION, 60_000))).toBe('https');
    const { port } = trusted.server.address() as AddressInfo;
    const otherName = new GrpcConnection(`https://127.0.0.1:${port}`);
    await expect(otherName.ready).rejects.toThrow(/127\.0\.0\.1|ECONNREFUSED/);
  });
});

describe('while a call is in flight, a connection is asked whether it lives', () => {
  afterEach(() => void vi.useRealTimers());

  async function asking() {
    const server = await RawHttp2Server.start();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const connection = new GrpcConnection(server.origin);
    onTestFinished(() => {
      connection.close();
      server.stop();
    });
    await connection.ready;
    const outcome = { code: 0, details: '' };
    connection.call(PATH, [], QUESTION, 60_000).catch((error) => Object.assign(outcome, error));
    await until(() => server.calls === 1);
    return { server, connection, outcome };
  }

  test('after 1.5 s, and again 1.5 s after it said yes, at the last moment', async () => {
    const { server, connection, outcome } = await asking();
    for (let ping = 1; ping <= 3; ping++) {
      vi.advanceTimersByTime(1_499);
      await server.roundTrip();
      expect(server.pings).toBe(ping - 1);
      vi.advanceTimersByTime(1);
      await until(() => server.pings === ping);
      vi.advanceTimersByTime(2_999);
      expect(connection.isReady).toBe(true);
      server.pong();
      await server.roundTrip();
    }
    expect(outcome).toEqual({ code: 0, details: '' });
  });

  test('and is over when it has said nothing for 3 s, with what is in flight', async () => {
    const { server, connection, outcome } = await asking();
    vi.advanceTimersByTime(1_500);
    await until(() => server.pings === 1);
    vi.advanceTimersByTime(2_999);
    expect(connection.isUsable).toBe(true);
    vi.advanceTimersByTime(1);
    expect(connection.isUsable).toBe(false);
    await until(() => outcome.code !== 0);
    expect(outcome).toMatchObject({
      code: CODE.UNAVAILABLE,
      details: 'the connection is silent: a ping was not answered within 3000 ms',
    });
  });

  test('and is left in peace when nothing is', async () => {
    const { connection, sessions } = await connected(STATUS({ 'grpc-status': '0' }, [ANSWER]));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await connection.call(PATH, [], QUESTION, 60_000);
    let pings = 0;
    sessions[0]?.on('ping', () => pings++);
    await until(() => vi.getTimerCount() === 1);
    vi.advanceTimersByTime(60_000);
    expect([vi.getTimerCount(), connection.isUsable]).toEqual([0, true]);
    await new Promise((resolve) => sessions[0]?.ping((...pong) => resolve(pong)));
    expect(pings).toBe(0);
  });
});
