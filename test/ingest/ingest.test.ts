import type { OutgoingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import { MAX_MESSAGE_BYTES, maxDataBytes } from '../../functions/bus/bus.ts';
import { UNROUTED } from '../../functions/bus/topology.ts';
import { CODE } from '../../functions/grpc.ts';
import { isSignatureShaped } from '../../functions/heron/signature.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import vectors from '../heron/vectors.json' with { type: 'json' };
import { until } from '../until.ts';
import { PRIVATE, signed, test, webhook } from './served.ts';
import { head, type Reply, send, Wire } from './wire.ts';

/** Passes as a signature until it is compared. */
const FORGED = `${'A'.repeat(43)}=`;

describe.concurrent('a webhook that Heron signed', () => {
  test('is answered 200 and published to its topic, byte for byte, once', async ({ serveIngest }) => {
    const { port, publisher, log } = await serveIngest();
    const body = webhook();
    const reply = await send(port, body, {
      ...signed(body),
      'X-Cloud-Trace-Context': '105445aa7843bc8bf206b12000100000/1;o=1',
    });
    expect(reply).toMatchObject({ status: 200, body: '' });
    expect(publisher.published).toHaveLength(1);
    const [{ topic, message }] = publisher.published as [(typeof publisher.published)[0]];
    expect(topic).toBe('end_user.processed');
    expect(Buffer.from(message.data).toString()).toBe(body);
    expect(message.attributes).toMatchObject({
      'ce-type': 'end_user.processed',
      'ce-subject': 'eus_Eqio3Y4dhyNiMphrXwG58p',
      'ce-traceparent': '00-105445aa7843bc8bf206b12000100000-0000000000000001-01',
      'ce-recordedtime': '2026-03-01T10:00:00.250000Z',
    });
    expect(log()).toEqual([
      {
        severity: 'INFO',
        message: 'published',
        function: 'ingest',
        topic: 'end_user.processed',
        event_id: message.attributes['ce-id'],
        heron_id: 'eus_Eqio3Y4dhyNiMphrXwG58p',
        bytes: body.length,
        secret: 1,
        outcome: 'published',
        http_status: 200,
        milliseconds: expect.any(Number),
        'logging.googleapis.com/trace': 'projects/heron-test/traces/105445aa7843bc8bf206b12000100000',
        'logging.googleapis.com/spanId': '0000000000000001',
        'logging.googleapis.com/trace_sampled': true,
      },
    ]);
  });

  test('goes to its own topic, for every topic of Heron', async ({ serveIngest }) => {
    const { port, publisher } = await serveIngest();
    for (const topic of HERON_TOPICS) {
      const body = webhook({ topic });
      expect((await send(port, body, signed(body))).status).toBe(200);
    }
    expect(publisher.published.map(({ topic }) => topic)).toEqual(HERON_TOPICS);
  });

  test.for<[string, string | Buffer]>([
    ['an unknown topic', webhook({ topic: 'end_user.exploded' })],
    ["the name of a topic that is not Heron's", webhook({ topic: 'dead-letter.projector' })],
    ['a topic that every object has', webhook({ topic: 'toString' })],
    ['no topic', webhook({ topic: undefined })],
    ['a time that is none', webhook({ created: 'yesterday' })],
    ['no data', webhook({ data: undefined })],
    ['an array', `[${webhook()}]`],
    ['malformed JSON', `{"topic": "${PRIVATE}`],
    ['no body at all', ''],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x80])],
    ['a hundred thousand brackets', '['.repeat(100_000)],
  ])('with %s goes to unrouted, is warned of, and answered 200', async ([, body], { serveIngest }) => {
    const { port, publisher, log } = await serveIngest();
    expect((await send(port, body, signed(body))).status).toBe(200);
    expect(publisher.published.map(({ topic }) => topic)).toEqual([UNROUTED]);
    expect(Buffer.from(publisher.published[0]?.message.data ?? [])).toEqual(Buffer.from(body));
    expect(log()).toMatchObject([{ severity: 'WARNING', outcome: 'unrouted', http_status: 200 }]);
  });

  test.for<[number, string, RegExp]>([
    [CODE.NOT_FOUND, 'topic_missing', /does not exist\. Apply/],
    [CODE.INVALID_ARGUMENT, 'topic_refused', /refuses the message.*schema/],
    [CODE.PERMISSION_DENIED, 'topic_refused', /refuses the message.*roles\/pubsub\.publisher/],
    [CODE.FAILED_PRECONDITION, 'topic_refused', /refuses the message.*policies/],
  ])(
    'goes to unrouted where its topic refuses it for good (%s), and an error says what to do',
    async ([code, outcome, message], { serveIngest }) => {
      const { port, publisher, log } = await serveIngest();
      publisher.refusals.set('end_user.processed', code);
      const body = webhook();
      expect((await send(port, body, signed(body))).status).toBe(200);
      expect(publisher.published.map(({ topic }) => topic)).toEqual([UNROUTED]);
      expect(log()).toMatchObject([
        {
          severity: 'ERROR',
          outcome,
          message: expect.stringMatching(message),
          topic: 'end_user.processed',
          error: `${code} refused`,
        },
        { severity: 'WARNING', outcome: 'unrouted', http_status: 200 },
      ]);
    },
  );

  test('is answered 503 where unrouted does not exist either', async ({ serveIngest }) => {
    const { port, publisher, log } = await serveIngest();
    publisher.refusals.set('end_user.processed', CODE.NOT_FOUND).set(UNROUTED, CODE.NOT_FOUND);
    const body = webhook();
    expect(await send(port, body, signed(body))).toMatchObject({ status: 503, headers: { 'retry-after': '60' } });
    expect(log().at(-1)).toMatchObject({
      severity: 'ERROR',
      outcome: 'unavailable',
      http_status: 503,
      error: expect.stringContaining(UNROUTED),
    });
  });

  test('is answered 503 with Retry-After where Pub/Sub refuses, and the answer tells nothing of why', async ({
    serveIngest,
  }) => {
    const { port, publisher, log } = await serveIngest();
    publisher.failure = Object.assign(new Error(PRIVATE), { code: 16, details: 'Not authenticated' });
    const body = webhook();
    const reply = await send(port, body, signed(body));
    expect(reply).toMatchObject({ status: 503, headers: { 'retry-after': '60' } });
    expect(reply.body).not.toMatch(/authenticated|at /);
    expect(log()).toMatchObject([
      { severity: 'ERROR', outcome: 'unavailable', http_status: 503, error: '16 Not authenticated' },
    ]);
  });

  test('is answered 503 within 6.5 s where Pub/Sub hangs, and nothing is left pending', async ({ serveIngest }) => {
    const { port, publisher } = await serveIngest();
    publisher.failure = 'hang';
    const body = webhook();
    expect(await send(port, body, signed(body))).toMatchObject({ status: 503, headers: { 'retry-after': '60' } });
    expect(Math.max(...publisher.timeouts)).toBeLessThanOrEqual(6_000);
    expect(publisher.pending).toBe(0);
  });

  test('is answered 503 within 6.5 s of arrival also where its body took 4 s', async ({ serveIngest }) => {
    const { port, publisher } = await serveIngest();
    publisher.failure = 'hang';
    const body = webhook();
    const wire = new Wire(port).write(
      head([`Content-Length: ${body.length}`, `Heron-Signature: ${signed(body)['Heron-Signature']}`]),
    );
    wire.write(body.slice(0, 10));
    await sleep(4_000);
    wire.write(body.slice(10));
    await wire.until(({ statuses }) => statuses.length > 0);
    expect(Math.max(...publisher.timeouts)).toBeLessThanOrEqual(6_000);
    expect(wire.statuses).toEqual([503]);
    expect(publisher.pending).toBe(0);
    expect(publisher.timeouts[0]).toBeLessThanOrEqual(2_100);
    wire.socket.destroy();
  });

  test('has one deadline for its topic and unrouted together', async ({ serveIngest }) => {
    const { port, publisher } = await serveIngest();
    publisher.refusals.set('end_user.processed', CODE.NOT_FOUND);
    publisher.failure = 'hang';
    const body = webhook();
    expect((await send(port, body, signed(body))).status).toBe(503);
    expect(Math.max(...publisher.timeouts)).toBeLessThanOrEqual(6_000);
  });

  test('is taken with any one of several secrets, and the log says which', async ({ serveIngest }) => {
    const { port, publisher, log } = await serveIngest(['sec_new', 'sec_old']);
    const body = webhook();
    const statuses = [];
    for (const secret of ['sec_new', 'sec_old', 'sec_other', ''])
      statuses.push((await send(port, body, signed(body, secret))).status);
    expect(statuses).toEqual([200, 200, 401, 401]);
    expect(publisher.published).toHaveLength(2);
    expect(log().map(({ secret }) => secret)).toEqual([1, 2, undefined, undefined]);
  });

  test.for<[string, OutgoingHttpHeaders]>([
    ['a wrong Content-Type', { 'Content-Type': 'image/png' }],
    ['a Content-Type that is none', { 'Content-Type': ';;;=' }],
    ['a form as Content-Type', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['a charset nobody knows', { 'Content-Type': 'application/json; charset=klingon' }],
    ['a CloudEvent as Content-Type', { 'Content-Type': 'application/cloudevents+json' }],
    ['two Content-Types', { 'Content-Type': ['application/json', 'text/plain'] }],
    ['a chunked body', { 'Transfer-Encoding': 'chunked' }],
    ['Expect: 100-continue', { Expect: '100-continue' }],
    ['a Content-Encoding that changes nothing', { 'Content-Encoding': 'identity' }],
    ['an empty Content-Encoding', { 'Content-Encoding': '' }],
    ['a charset as Content-Encoding', { 'Content-Encoding': 'UTF-8' }],
    ['a Content-Encoding that is not true', { 'Content-Encoding': 'gzip' }],
  ])('is taken with %s', async ([, headers], { serveIngest }) => {
    const { port, publisher } = await serveIngest();
    const body = webhook();
    expect((await send(port, body, { ...signed(body), ...headers })).status).toBe(200);
    expect(Buffer.from(publisher.published[0]?.message.data ?? []).toString()).toBe(body);
  });

  test('is taken with the same signature several times', async ({ serveIngest }) => {
    const { port, publisher } = await serveIngest();
    const body = webhook();
    const signature = signed(body)['Heron-Signature'];
    for (const copies of [[signature, signature], `${signature}, ${signature}`, `${signature},${signature} `])
      expect((await send(port, body, { 'Heron-Signature': copies })).status).toBe(200);
    expect(publisher.published).toHaveLength(3);
  });

  test.for(['gzip', 'deflate', 'br'] as const)(
    'over the bytes as they came, which are compressed (%s), is kept as it came',
    async (encoding, { serveIngest }) => {
      const { port, publisher, log } = await serveIngest();
      const body = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync }[encoding](webhook());
      expect((await send(port, body, { ...signed(body), 'Content-Encoding': encoding })).status).toBe(200);
      expect(publisher.published.map(({ topic }) => topic)).toEqual([UNROUTED]);
      expect(Buffer.from(publisher.published[0]?.message.data ?? [])).toEqual(body);
      expect(log()).toMatchObject([{ severity: 'WARNING', outcome: 'unrouted', secret: 1 }]);
    },
  );

  test('is taken without a Content-Type, with header names in any case, in pieces of a byte', async ({
    serveIngest,
  }) => {
    const { port, publisher } = await serveIngest();
    const body = webhook();
    const wire = new Wire(port);
    wire.socket.setNoDelay();
    const signature = signed(body)['Heron-Signature'];
    for (const byte of head([`hErOn-SiGnAtUrE:   ${signature}  `, `CONTENT-LENGTH: ${body.length}`]) + body) {
      wire.write(byte);
      await new Promise(setImmediate);
    }
    await wire.until(({ statuses }) => statuses.length > 0);
    expect(wire.statuses).toEqual([200]);
    expect(publisher.published).toHaveLength(1);
    wire.socket.destroy();
  });

  test.for(['/favicon.ico', '/robots.txt', '/%E0%A4%A', '/..%2f', '/a?b=%', '//', '*'])(
    'is taken at %s',
    async (path, { serveIngest }) => {
      const { port, publisher } = await serveIngest();
      const body = webhook();
      const wire = new Wire(port).write(
        head(
          [`Heron-Signature: ${signed(body)['Heron-Signature']}`, `Content-Length: ${body.length}`],
          `POST ${path} HTTP/1.1`,
        ) + body,
      );
      await wire.until(({ statuses, closed }) => closed || statuses.length > 0);
      expect(wire.statuses).toEqual([200]);
      expect(publisher.published).toHaveLength(1);
      wire.socket.destroy();
    },
  );

  test('of just the size that Pub/Sub takes is published, and of a byte more is 413, an error with its size', async ({
    serveIngest,
  }) => {
    const { port, publisher, log } = await serveIngest();
    const edge = async (size: number) => {
      const body = webhook({ meta: PRIVATE.padEnd(size - webhook({ meta: '' }).length, 'x') });
      const reply = await send(port, body, signed(body));
      return { body, status: reply.status, detail: reply.body };
    };
    await edge(1_000);
    const most = maxDataBytes(publisher.published[0]?.message.attributes);
    expect((await edge(most)).status).toBe(200);
    const { body, status, detail } = await edge(most + 1);
    expect(status).toBe(413);
    expect(detail).toMatch(`${most.toLocaleString('en')} at most`);
    expect(publisher.published).toHaveLength(2);
    expect(log().at(-1)).toMatchObject({
      severity: 'ERROR',
      outcome: 'too_large',
      http_status: 413,
      bytes: body.length,
      topic: expect.stringContaining('end_user'),
      event_id: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });
});

describe.concurrent("what Heron's own algorithm made", () => {
  const secrets = [vectors.secret] as [string];

  test.for(vectors.accept)(
    '$name: published with exactly its bytes',
    async ({ body_base64, signature }, { serveIngest }) => {
      const { port, publisher } = await serveIngest(secrets);
      const body = Buffer.from(body_base64, 'base64');
      expect((await send(port, body, { 'Heron-Signature': signature })).status).toBe(200);
      const { topic } = JSON.parse(body.toString()) as { topic: string };
      expect(publisher.published.map((each) => each.topic)).toEqual([HERON_TOPICS.includes(topic) ? topic : UNROUTED]);
      expect(Buffer.from(publisher.published[0]?.message.data ?? [])).toEqual(body);
    },
  );

  test.for(vectors.reject)(
    '$name: refused and published nowhere',
    async ({ body_base64, signature }, { serveIngest }) => {
      const { port, publisher } = await serveIngest(secrets);
      const headers = signature === null ? {} : { 'Heron-Signature': signature };
      expect((await send(port, Buffer.from(body_base64, 'base64'), headers)).status).toBe(401);
      expect(publisher.published).toEqual([]);
    },
  );
});

describe.concurrent('what Heron did not sign', () => {
  test('is refused the same whether the signature is missing, wrong, or right but for its text', async ({
    serveIngest,
  }) => {
    const { port, publisher, log } = await serveIngest();
    const body = webhook();
    const right = signed(body)['Heron-Signature'];
    // The last character before the padding has two bits that decode to nothing.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const last = alphabet.indexOf(right.charAt(42));
    const same = `${right.slice(0, 42)}${alphabet[last ^ 1]}=`;
    expect(Buffer.from(same, 'base64')).toEqual(Buffer.from(right, 'base64'));
    const urlSafe = right.replaceAll('+', '-').replaceAll('/', '_');
    const wrong = [
      same,
      right.slice(0, 43),
      `${right}=`,
      `"${right}"`,
      `sha256=${right}`,
      right.toLowerCase(),
      ...(urlSafe === right ? [] : [urlSafe]),
      FORGED,
      'é'.repeat(44),
      '',
      [right, FORGED],
      [FORGED, right],
      [right, ''],
    ];
    const replies: Reply[] = [await send(port, body, {})];
    for (const signature of wrong) replies.push(await send(port, body, { 'Heron-Signature': signature }));
    expect(replies[0]).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Heron-Signature', 'content-type': 'application/problem+json' },
    });
    for (const { status, body: text, headers } of replies) {
      expect({ status, text, headers: { ...headers, date: '' } }).toEqual({
        status: 401,
        text: replies[0]?.body,
        headers: { ...replies[0]?.headers, date: '' },
      });
    }
    expect(publisher.published).toEqual([]);
    expect(log()).toHaveLength(replies.length);
    const [unsigned, ...others] = log();
    expect(unsigned).toMatchObject({ severity: 'INFO', outcome: 'unsigned', http_status: 401 });
    for (const [i, line] of others.entries()) {
      const outcome = isSignatureShaped(String(wrong[i])) ? 'mismatch' : 'malformed';
      expect(line).toMatchObject({ severity: 'WARNING', outcome, http_status: 401 });
    }
    expect(others.filter(({ outcome }) => outcome === 'mismatch').length).toBeGreaterThan(2);
  });

  test('is refused whatever the length of its signature', async ({ serveIngest }) => {
    const { port, publisher } = await serveIngest();
    for (const length of [1, 43, 44, 45, 88, 1_000, 10_000, 16_000, 17_000, 100_000]) {
      const wire = new Wire(port).write(`${head([`Heron-Signature: ${'A'.repeat(length)}`, 'Content-Length: 2'])}{}`);
      await wire.until(({ statuses, closed }) => closed || statuses.length > 0);
      // Over 16 KiB of headers, Node answers, or cuts a client that is still sending.
      if (length <= 16_000) expect(wire.statuses).toEqual([401]);
      else expect(wire.statuses).toEqual(wire.error === undefined ? [431] : expect.toBeOneOf([[], [431]]));
      wire.socket.destroy();
    }
    expect(publisher.published).toEqual([]);
  });

  test.for<[string, string[]]>([
    ['no signature', []],
    ['a signature of another length', [`Heron-Signature: ${FORGED}=`]],
  ])(
    'with %s is refused at once where the body never comes, and is cut after a while',
    async ([, headers], { serveIngest }) => {
      const { port, log } = await serveIngest();
      const wire = new Wire(port).write(head(['Content-Length: 5000', ...headers]));
      await wire.until(({ received }) => received.endsWith('}\n'));
      expect(wire.statuses).toEqual([401]);
      await wire.until(({ closed }) => closed);
      expect(log()).toHaveLength(1);
    },
  );

  test.for(['keep-alive', 'close'])(
    'is refused with an answer that a client sees which reads only after it sent 3 MB (Connection: %s)',
    async (connection, { serveIngest }) => {
      const { port } = await serveIngest();
      const wire = new Wire(port);
      wire.socket.pause();
      wire.write(head(['Content-Length: 3000000', `Connection: ${connection}`]));
      for (let sent = 0; sent < 3_000_000; sent += 100_000) {
        await new Promise((resolve) => wire.socket.write(Buffer.alloc(100_000), resolve));
      }
      wire.socket.resume();
      await wire.until(({ received, closed }) => closed || received.endsWith('}\n'));
      expect([wire.statuses, wire.error]).toEqual([[401], undefined]);
      wire.socket.destroy();
    },
  );

  test('leaves the connection usable for what Heron signed, pipelined behind it or after it', async ({
    serveIngest,
  }) => {
    const { port, publisher } = await serveIngest();
    const body = webhook();
    const good = head([`Heron-Signature: ${signed(body)['Heron-Signature']}`, `Content-Length: ${body.length}`]) + body;
    const wire = new Wire(port).write(head(['Content-Length: 100000']) + 'x'.repeat(50_000));
    await wire.until(({ statuses }) => statuses.length === 1);
    wire.write(`${'x'.repeat(50_000)}${good}${head(['Content-Length: 5'])}12345${good}`);
    await wire.until(({ statuses }) => statuses.length === 4);
    wire.write(good);
    await wire.until(({ statuses }) => statuses.length === 5);
    expect(wire.statuses).toEqual([401, 200, 401, 200, 200]);
    expect(publisher.published).toHaveLength(3);
    await sleep(3_500);
    expect(wire.closed).toBe(false); // what cuts a client that goes on sending forgot this one
    wire.socket.destroy();
  });

  test('is refused before its body is granted (Expect: 100-continue), and the connection closed', async ({
    serveIngest,
  }) => {
    const { port } = await serveIngest();
    const wire = new Wire(port).write(head(['Content-Length: 5', 'Expect: 100-continue']));
    await wire.until(({ closed }) => closed);
    expect(wire.statuses).toEqual([401]);
    expect(wire.received).toContain('Connection: close');
  });

  test.for(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND'])(
    '%s is 405 with Allow',
    async (method, { serveIngest }) => {
      const { port, publisher, log } = await serveIngest();
      const reply = await send(port, '', { ...signed(''), 'Content-Length': 0 }, { method });
      expect(reply).toMatchObject({ status: 405, headers: { allow: 'POST' } });
      expect(publisher.published).toEqual([]);
      expect(log()).toMatchObject([{ severity: 'INFO', outcome: 'method_not_allowed', http_status: 405 }]);
    },
  );

  test('is refused also where it is compressed, uninflated', async ({ serveIngest }) => {
    const { port, publisher, log } = await serveIngest();
    const bomb = gzipSync(webhook({ meta: 'x'.repeat(1_000_000) }));
    for (const headers of [{}, { 'Heron-Signature': FORGED }, signed(webhook())])
      expect((await send(port, bomb, { ...headers, 'Content-Encoding': 'gzip' })).status).toBe(401);
    expect(publisher.published).toEqual([]);
    expect(log().map(({ outcome }) => outcome)).toEqual(['unsigned', 'mismatch', 'mismatch']);
  });
});

describe.concurrent('a body', () => {
  const LARGE = Buffer.alloc(MAX_MESSAGE_BYTES + 1, 'x');

  test.for([
    ['announced', {}],
    ['found out on the way', { 'Transfer-Encoding': 'chunked' }],
  ] as const)(
    'that Heron signed and is too large (%s) is 413 with its size and the limit, and an error',
    async ([, headers], { serveIngest }) => {
      const { port, publisher, log } = await serveIngest();
      const { status, body } = await send(port, LARGE, { ...signed(LARGE), ...headers });
      expect(status).toBe(413);
      const detail = expect.stringMatching(/10,000,001 bytes.*9,99\d,\d{3} at most/);
      expect(JSON.parse(body)).toMatchObject({ detail });
      expect(log()).toMatchObject([
        { severity: 'ERROR', outcome: 'too_large', http_status: 413, bytes: LARGE.byteLength },
      ]);
      expect(publisher.published).toEqual([]);
    },
  );

  test.for([
    ['announced', {}],
    ['found out on the way', { 'Transfer-Encoding': 'chunked' }],
  ] as const)("that is too large (%s) and a stranger's is a mismatch", async ([, headers], { serveIngest }) => {
    const { port, publisher, log } = await serveIngest();
    expect((await send(port, LARGE, { 'Heron-Signature': FORGED, ...headers })).status).toBe(401);
    expect(log()).toMatchObject([{ severity: 'WARNING', outcome: 'mismatch', bytes: LARGE.byteLength }]);
    expect(publisher.published).toEqual([]);
  });

  test('of over 32 MiB is refused unread where that is announced, and else at that point, and is no error', async ({
    serveIngest,
  }) => {
    const { port, log } = await serveIngest();
    const length = 32 * 1024 * 1024 + 1;
    const announced = new Wire(port).write(head([`Heron-Signature: ${FORGED}`, `Content-Length: ${length}`]));
    await announced.until(({ received }) => received.endsWith('}\n'));
    expect(announced.statuses).toEqual([413]);
    announced.socket.destroy();

    const wire = new Wire(port).write(head([`Heron-Signature: ${FORGED}`, 'Transfer-Encoding: chunked']));
    const chunk = Buffer.concat([Buffer.from('f4240\r\n'), Buffer.alloc(1_000_000), Buffer.from('\r\n')]);
    for (let sent = 0; wire.statuses.length === 0 && !wire.closed; sent += 1) {
      expect(sent).toBeLessThan(50);
      await new Promise((resolve) => wire.socket.write(chunk, resolve));
      await sleep(1);
    }
    expect(wire.statuses).toEqual([413]);
    wire.socket.destroy();
    expect(log()).toMatchObject([
      { severity: 'INFO', outcome: 'oversized', http_status: 413, bytes: length },
      { severity: 'INFO', outcome: 'oversized', http_status: 413 },
    ]);
  });

  test('that is too large and never comes is refused after 5 s, and is no error', async ({ serveIngest }) => {
    const { port, log } = await serveIngest();
    const wire = new Wire(port).write(head([`Heron-Signature: ${FORGED}`, 'Content-Length: 20000000']));
    const took = await wire.until(({ statuses }) => statuses.length > 0);
    expect(took).toBeGreaterThan(4_900);
    expect(wire.statuses).toEqual([413]);
    expect(log()).toMatchObject([{ severity: 'INFO', outcome: 'oversized', bytes: 20_000_000 }]);
    wire.socket.destroy();
  });

  test('that dawdles is 408 after 5 s, a hundred at once, while others are answered as before', async ({
    serveIngest,
  }) => {
    const { port, publisher, log } = await serveIngest();
    const start = performance.now();
    const slow = Array.from({ length: 100 }, () =>
      new Wire(port).write(head([`Heron-Signature: ${FORGED}`, 'Content-Length: 1000'])),
    );
    const dribble = setInterval(() => {
      for (const wire of slow) if (!wire.closed) wire.write('x');
    }, 1_000);
    const body = webhook();
    let answered = 0;
    for (; slow.every(({ statuses }) => statuses.length === 0); answered += 1) {
      expect((await send(port, body, signed(body))).status).toBe(200);
      await sleep(50);
    }
    expect(answered).toBeGreaterThan(1);
    await Promise.all(slow.map((wire) => wire.until(({ statuses }) => statuses.length > 0)));
    expect(performance.now() - start).toBeGreaterThan(4_900);
    expect(new Set(slow.flatMap(({ statuses }) => statuses))).toEqual(new Set([408]));
    await Promise.all(slow.map((wire) => wire.until(({ closed }) => closed)));
    clearInterval(dribble);
    expect(publisher.published).toHaveLength(answered);
    const late = log().filter(({ outcome }) => outcome === 'timed_out');
    expect(late).toHaveLength(100);
    expect(late[0]).toMatchObject({ severity: 'WARNING', http_status: 408 });
  });

  test.for(['Content-Length: 1000', 'Transfer-Encoding: chunked'])(
    'whose client leaves in the middle is logged and published nowhere (%s)',
    async (length, { serveIngest }) => {
      const { port, publisher, log } = await serveIngest();
      const wires = ['reset', 'destroy', 'end'] as const;
      for (const way of wires) {
        const wire = new Wire(port).write(`${head([`Heron-Signature: ${FORGED}`, length])}5\r\nabcde\r\n`);
        await sleep(50);
        if (way === 'reset') wire.socket.resetAndDestroy();
        else wire.socket[way]();
      }
      await until(() => log().length >= wires.length);
      expect(log()).toHaveLength(wires.length);
      for (const line of log()) expect(line).toMatchObject({ severity: 'WARNING', outcome: 'client_left' });
      expect(publisher.published).toEqual([]);
      expect((await send(port, webhook(), signed(webhook()))).status).toBe(200);
    },
  );

  test('whose client leaves after it is published to Pub/Sub all the same', async ({ serveIngest }) => {
    const { port, publisher } = await serveIngest();
    const body = webhook();
    const wire = new Wire(port).write(
      head([`Heron-Signature: ${signed(body)['Heron-Signature']}`, `Content-Length: ${body.length}`]) + body,
    );
    wire.socket.on('ready', () => setTimeout(() => wire.socket.destroy(), 5));
    await until(() => publisher.published.length > 0);
    expect(publisher.published).toHaveLength(1);
  });

  test.for<[string, string[]]>([
    ['two lengths', ['Content-Length: 5', 'Content-Length: 6']],
    ['a length and chunks', ['Content-Length: 5', 'Transfer-Encoding: chunked']],
    ['a length that is no number', ['Content-Length: five']],
    ['a length beyond all numbers', [`Content-Length: ${'9'.repeat(30)}`]],
    ['a chunk whose size is no number', ['Transfer-Encoding: chunked']],
  ])('with %s is never a 500', async ([, headers], { serveIngest }) => {
    const { port, publisher } = await serveIngest();
    const wire = new Wire(port).write(`${head([`Heron-Signature: ${FORGED}`, ...headers])}zz\r\nabc`);
    await wire.until(({ closed }) => closed);
    expect(wire.statuses).toEqual(expect.toBeOneOf([[400], []]));
    expect(publisher.published).toEqual([]);
  });
});
