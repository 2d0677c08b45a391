import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, expect } from 'vitest';
import { answer, answerProblem, type Body, guarded, readBody } from '../functions/http.ts';
import { cloudLog } from '../functions/log.ts';
import { PRIVATE, test } from './ingest/served.ts';
import { head, send, Wire } from './ingest/wire.ts';

describe('a body', () => {
  /** A request whose body is sent by hand. */
  function incoming(headers: IncomingMessage['headers'] = {}) {
    return Object.assign(new PassThrough(), { headers }) as unknown as IncomingMessage & PassThrough;
  }

  test.for<[string, Buffer[]]>([
    ['nothing', []],
    ['a byte', [Buffer.from('x')]],
    ['many bytes one by one', Array.from({ length: 1_000 }, (_, n) => Buffer.from([n % 256]))],
    ['growing pieces', Array.from({ length: 17 }, (_, n) => Buffer.alloc(2 ** n, n))],
    ['all that is allowed', [Buffer.alloc(100_000, 1), Buffer.alloc(100_000, 2)]],
  ])('of %s is read as it is', async ([, chunks]) => {
    const request = incoming();
    const reading = readBody(request, 200_000, 1_000);
    for (const chunk of chunks) request.write(chunk);
    request.end();
    expect(await reading).toEqual({ kind: 'complete', bytes: Buffer.concat(chunks) });
  });

  test('of a byte more than is allowed is too large, announced or not', async () => {
    expect(await readBody(incoming({ 'content-length': '11' }), 10, 1_000)).toEqual({ kind: 'too_large', bytes: 11 });
    const request = incoming();
    const reading = readBody(request, 10, 1_000);
    request.write('1234567890');
    request.write('1');
    expect(await reading).toEqual({ kind: 'too_large', bytes: 11 });
  });

  test('that does not end in time has timed out, and one whose client leaves is not complete', async () => {
    expect(await readBody(incoming(), 10, 20)).toEqual({ kind: 'timed_out' });
    for (const error of [undefined, new Error('reset')]) {
      const request = incoming();
      const reading: Promise<Body> = readBody(request, 10, 1_000);
      request.write('12345');
      request.destroy(error);
      expect(await reading).toEqual({ kind: 'client_left' });
    }
  });
});

describe('an answer', () => {
  test('to HEAD has the length of the body, but not the body', async ({ serve }) => {
    const port = await serve(async (_, response) => answer(response, 200, 'héllo', { 'X-A': 'b' }));
    const wire = new Wire(port).write(head(['Connection: close'], 'HEAD / HTTP/1.1'));
    await wire.until(({ closed }) => closed);
    expect(wire.received).toMatch(/^HTTP\/1\.1 200 OK\r\nX-A: b\r\nContent-Length: 6\r\n[\s\S]*\r\n\r\n$/);
  });

  test('is given once: a second one changes nothing', async ({ serve }) => {
    const port = await serve(async (_, response) => {
      answer(response, 200, 'first');
      answer(response, 500, 'second');
    });
    expect(await send(port)).toMatchObject({ status: 200, body: 'first' });
  });

  test('that is a problem says so in RFC 9457, with members of its own', async ({ serve }) => {
    const port = await serve(async (_, response) =>
      answerProblem(response, 418, 'Teapot', 'Short and stout.', { headers: { Allow: 'BREW' }, spout: true }),
    );
    const { status, headers, body } = await send(port);
    expect([status, headers['content-type'], headers.allow]).toEqual([418, 'application/problem+json', 'BREW']);
    expect(JSON.parse(body)).toEqual({
      type: 'about:blank',
      title: 'Teapot',
      status: 418,
      detail: 'Short and stout.',
      spout: true,
    });
  });

  test('to a client that left is no crash, before or after it was begun', async ({ serve }) => {
    const left: (() => void)[] = [];
    const port = await serve(async (request, response) => {
      if (request.headers['x-early'] !== undefined) answer(response, 401, 'early');
      await new Promise<void>((resolve) => request.once('close', resolve).resume());
      answer(response, 200, 'late');
      left.shift()?.();
    });
    for (const early of ['X-Early: 1', 'X-Late: 1']) {
      const over = new Promise<void>((resolve) => left.push(resolve));
      const wire = new Wire(port).write(`${head(['Content-Length: 100', early])}12345`);
      await wire.until(({ received, socket }) => !socket.connecting && (early === 'X-Late: 1' || received !== ''));
      wire.socket.resetAndDestroy();
      await over;
    }
  });
});

describe('a handler that fails', () => {
  test.for<[string, () => Promise<never>]>([
    ['rejects', () => Promise.reject(new Error(PRIVATE))],
    [
      'throws',
      () => {
        throw new Error(PRIVATE);
      },
    ],
    ['throws what is no error', () => Promise.reject(PRIVATE)],
  ])(
    'and $0 is answered with 503, and neither the answer nor the log repeat the error',
    async ([, fail], { serve }) => {
      const lines: string[] = [];
      const log = cloudLog('f', (line) => lines.push(line));
      const reply = await send(await serve(guarded(fail, log)));
      expect(reply).toMatchObject({ status: 503, headers: { 'retry-after': '60' } });
      expect(JSON.parse(reply.body)).toMatchObject({ status: 503, title: 'Service Unavailable' });
      expect(lines.map((line) => JSON.parse(line))).toMatchObject([
        { severity: 'CRITICAL', outcome: 'failed', http_status: 503 },
      ]);
      expect(reply.body + lines.join('')).not.toContain(PRIVATE);
    },
  );

  test('after it began to answer leaves the answer visibly unfinished', async ({ serve }) => {
    const port = await serve(
      guarded(
        async (_, response) => {
          response.write('half of');
          throw new Error(PRIVATE);
        },
        () => {},
      ),
    );
    await expect(send(port)).rejects.toThrow(/aborted|hang up|reset/i);
  });
});

test('a handler finds the path in originalUrl, whatever it is, and no content type', async ({ serve }) => {
  const port = await serve(async (request, response) => {
    const { originalUrl } = request as IncomingMessage & { originalUrl?: string };
    answer(response, 200, JSON.stringify([originalUrl, request.headers['content-type'] ?? null]));
  });
  for (const path of ['/a/%2F?b=c#d', '/%E0%A4%A', '/favicon.ico'])
    expect(JSON.parse((await send(port, '{', { 'Content-Type': 'application/json' }, { path })).body)).toEqual([
      path,
      null,
    ]);
});
