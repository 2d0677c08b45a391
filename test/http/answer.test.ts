import { describe, expect } from 'vitest';
import { answer, answerProblem } from '../../functions/http/answer.ts';
import { test } from '../ingest/served.ts';
import { head, send, Wire } from '../ingest/wire.ts';

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
