import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { http } from '@google-cloud/functions-framework';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeHandler } from '../../functions/subscriber/node.ts';
import { subscriber } from '../../functions/subscriber/subscriber.ts';
import { fetchHandler } from '../../functions/subscriber/web.ts';
import { linesOf, pushed, type Sent } from './given.ts';
import { pushes } from './vectors.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(
    () => void server.closeAllConnections(),
    () => void server.close(),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** A subscriber that tells what it got, and a log that keeps its lines. */
function telling() {
  const { lines, log } = linesOf();
  const got: string[] = [];
  return { lines, log, got, service: subscriber(({ id }) => got.push(id)) };
}

const post = (url: string, { headers, body }: Sent) => fetch(url, { method: 'POST', headers, body: Buffer.from(body) });

/** Every way in which a request can reach the kit. */
const servers: Readonly<
  Record<string, (told: ReturnType<typeof telling>) => Promise<(sent: Sent) => Promise<Response>>>
> = {
  'node:http': async ({ service, log }) => {
    const url = await serve(nodeHandler(service, { log }));
    return (sent) => post(url, sent);
  },
  'the functions framework, which has read the body before': async ({ service, log }) => {
    const name = `underwriting-${randomUUID()}`;
    http(name, nodeHandler(service, { log }));
    const server = getTestServer(name);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => void server.close());
    return (sent) => post(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, sent);
  },
  'a server that speaks Fetch': async ({ service, log }) => {
    const handler = fetchHandler(service, { log });
    return ({ headers, body }) => {
      const init = { method: 'POST', headers, body: Buffer.from(body) };
      return handler(new Request('http://127.0.0.1/', init));
    };
  },
};

describe.each(Object.entries(servers))('behind %s', (_, start) => {
  it('every vector comes to what it says', async () => {
    const told = telling();
    const send = await start(told);
    for (const { name, headers, body_base64, event } of pushes) {
      // The framework parses JSON itself, and answers what is not.
      const response = await send({ headers, body: Buffer.from(body_base64, 'base64') });
      expect({ name, status: response.status }).toEqual({ name, status: event ? 204 : 400 });
    }
    expect(told.got).toEqual(pushes.flatMap(({ event }) => event?.id ?? []));
  });

  it('a body of 10 MB arrives', async () => {
    const told = telling();
    const sent = pushed('pdf.parsed', { text: 'x'.repeat(9_900_000) });
    expect((await (await start(told))(sent)).status).toBe(204);
    expect(told.got).toEqual([sent.headers['ce-id']]);
  });
});

describe('nodeHandler', () => {
  it('says in its log that a body parser has read the body, and has it sent again', async () => {
    const { service, log, lines } = telling();
    const handler = nodeHandler(service, { log });
    const url = await serve(async (request, response) => {
      for await (const _ of request);
      await handler(request, response);
    });
    expect((await post(url, pushed('a.b', {}))).status).toBe(500);
    expect(lines).toMatchObject([{ error: expect.stringContaining('mount nodeHandler before the body parser') }]);
  });

  it('stops reading where a body is larger than any of Pub/Sub', async () => {
    const { service, log } = telling();
    const url = await serve(nodeHandler(service, { log }));
    const { port } = new URL(url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99000000\r\n\r\n');
    socket.write(Buffer.alloc(14_000_001));
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });

  it('survives a client that leaves', async () => {
    const { service, log, lines, got } = telling();
    const url = await serve(nodeHandler(service, { log }));
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"mess');
    await once(socket, 'connect');
    socket.destroySoon();
    await expect.poll(() => lines).toMatchObject([{ outcome: 'client_left' }]);
    expect((await post(url, pushed('a.b', {}))).status).toBe(204);
    expect(got).toHaveLength(1);
  });
});

describe('fetchHandler', () => {
  it('says in its log that the request was read before', async () => {
    const { service, log, lines } = telling();
    const request = new Request('http://127.0.0.1/', { method: 'POST', body: '{}' });
    await request.text();
    expect((await fetchHandler(service, { log })(request)).status).toBe(500);
    expect(lines).toMatchObject([{ error: expect.stringContaining('give fetchHandler the request unread') }]);
  });

  it('stops reading where a body is larger than any of Pub/Sub', async () => {
    const { service, log } = telling();
    let given = 0;
    const body = new ReadableStream({
      pull: (controller) => {
        given += 1_000_000;
        controller.enqueue(new Uint8Array(1_000_000));
      },
    });
    const request = new Request('http://127.0.0.1/', { method: 'POST', body, duplex: 'half' } as RequestInit);
    expect((await fetchHandler(service, { log })(request)).status).toBe(413);
    expect(given).toBeLessThan(20_000_000);
  });

  it('survives a client that leaves', async () => {
    const { service, log, lines } = telling();
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(Buffer.from('{"mess')),
      pull: (controller) => controller.error(new DOMException('The connection was closed.', 'AbortError')),
    });
    const request = new Request('http://127.0.0.1/', { method: 'POST', body, duplex: 'half' } as RequestInit);
    expect((await fetchHandler(service, { log })(request)).status).toBe(400);
    expect(lines).toMatchObject([{ severity: 'WARNING', outcome: 'client_left' }]);
  });

  it('takes a request without a body for what it is', async () => {
    const { service, log } = telling();
    expect((await fetchHandler(service, { log })(new Request('http://127.0.0.1/', { method: 'POST' }))).status).toBe(
      400,
    );
  });
});
