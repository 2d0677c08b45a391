import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { answer } from '../../functions/http/answer.ts';
import { readBody } from '../../functions/http/body.ts';
import { serverOf } from '../../functions/http/server.ts';
import { cloudLog } from '../../functions/log.ts';
import { PRIVATE, test } from '../ingest/served.ts';
import { head, send, Wire } from '../ingest/wire.ts';

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
      const reply = await send(await serve(fail, log));
      expect(reply).toMatchObject({ status: 503, headers: { 'retry-after': '60' } });
      expect(JSON.parse(reply.body)).toMatchObject({ status: 503, title: 'Service Unavailable' });
      expect(lines.map((line) => JSON.parse(line))).toMatchObject([
        { severity: 'CRITICAL', outcome: 'failed', http_status: 503 },
      ]);
      expect(reply.body + lines.join('')).not.toContain(PRIVATE);
    },
  );

  test('after it began to answer leaves the answer visibly unfinished', async ({ serve }) => {
    const port = await serve(async (_, response) => {
      response.write('half of');
      throw new Error(PRIVATE);
    });
    await expect(send(port)).rejects.toThrow(/aborted|hang up|reset/i);
  });
});

test('a handler gets every path as it was sent, with the body unread', async ({ serve }) => {
  const port = await serve(async (request, response) => {
    const body = await readBody(request, 100, 1_000);
    answer(response, 200, JSON.stringify([request.url, body.kind === 'complete' && body.bytes.toString()]));
  });
  for (const path of ['/a/%2F?b=c#d', '/%E0%A4%A', '/favicon.ico', '/robots.txt'])
    expect(JSON.parse((await send(port, '{', { 'Content-Type': 'application/json' }, { path })).body)).toEqual([
      path,
      '{',
    ]);
});

describe('a connection', () => {
  test("is kept for longer than Google's load balancer keeps it, which is 600 s", async ({ serve }) => {
    const port = await serve(async (_, response) => answer(response, 200));
    const wire = new Wire(port).write(head(['Content-Length: 0']));
    await wire.until(({ statuses }) => statuses.length === 1);
    expect(Number(/^Keep-Alive: timeout=(\d+)/im.exec(wire.received)?.[1])).toBeGreaterThan(600);
    wire.socket.destroy();
    const { keepAliveTimeout, headersTimeout, requestTimeout } = serverOf(
      async () => {},
      () => {},
    );
    expect(Math.min(headersTimeout, requestTimeout)).toBeGreaterThan(keepAliveTimeout);
  });

  test('whose client has ended its side gets the answer, and is then closed', async ({ serve }) => {
    const port = await serve(async (request, response) => {
      await readBody(request, 100, 1_000);
      await sleep(200);
      answer(response, 200, 'late');
    });
    const wire = new Wire(port).write(`${head(['Content-Length: 5'])}12345`);
    wire.socket.end();
    await wire.until(({ closed }) => closed);
    expect(wire.statuses).toEqual([200]);
    expect(wire.received).toMatch(/late$/);
  });

  test('whose client asks whether its body is wanted is told so when it is read, and else is closed', async ({
    serve,
  }) => {
    const port = await serve(async (request, response) => {
      if (request.headers['x-wanted'] === undefined) return answer(response, 401, 'no');
      const body = await readBody(request, 100, 10_000);
      answer(response, 200, body.kind);
    });
    const wanted = new Wire(port).write(head(['Content-Length: 5', 'Expect: 100-continue', 'X-Wanted: 1']));
    await wanted.until(({ statuses }) => statuses.length === 1);
    wanted.write(`12345${head(['Content-Length: 0'])}`);
    await wanted.until(({ statuses }) => statuses.length === 3);
    expect(wanted.statuses).toEqual([100, 200, 401]);
    wanted.socket.destroy();

    const refused = new Wire(port).write(head(['Content-Length: 5', 'Expect: 100-continue']));
    await refused.until(({ closed }) => closed);
    expect(refused.statuses).toEqual([401]);
    expect(refused.received).toContain('Connection: close');
  });
});
