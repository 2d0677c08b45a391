import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { signedBy } from '../../functions/heron/signature.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { parseWebhook } from '../../functions/heron/webhook.ts';
import { freePort } from '../../functions/local/emulators.ts';
import { heron } from '../end-to-end/local.ts';

type Received = {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

let received: Received[] = [];
let answer: { status: number; body: string } = { status: 200, body: '' };
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  received.push({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks) });
  response.writeHead(answer.status).end(answer.body);
});
let url: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
beforeEach(() => {
  received = [];
  answer = { status: 200, body: '' };
});
afterAll(() => server.close());

describe('heron', () => {
  it.each([['--help'], ['send', '--help'], ['status', '--help'], ['dev', '--help']])(
    'explains itself: %s %s',
    async (...args) => {
      const { code, stdout, stderr } = await heron(args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/^Usage: heron /);
    },
  );

  it.each([
    [[], /Usage: heron/],
    [['nonsense'], /unknown command 'nonsense'/],
    [['send', '--count', '0', 'end_user.created'], /whole number from 1/],
    [['send'], /Name a topic/],
    [['send', 'end_user.created', '--secret', ' '], /empty/],
    [['send', '--body', '/no/such/file'], /cannot be read \(ENOENT\)/],
    [['dev', '--port', '65535'], /port from 1 to 65534/],
    [['status'], /missing required argument 'id'/],
    [['status', 'a', '--colour'], /unknown option '--colour'/],
  ])('misused as %j exits with 2 and says how to use it', async (args, message) => {
    const { code, stdout, stderr } = await heron(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
  });

  it('uses no colour where nobody sees it', async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}/`;
    const { stderr } = await heron(['status', 'a', '--url', nowhere], { ...process.env, NO_COLOR: '1' });
    expect(stderr).toBe(
      `heron: Nothing answers at ${nowhere} (ECONNREFUSED). Start it with npm start, or name another with --url.\n`,
    );
  });
});

describe('heron send', () => {
  it('signs and posts as Heron does', async () => {
    const { code } = await heron(['send', 'pdf.processed', '--end-user', 'acme-1', '--url', url, '--secret', 'sec_x']);
    const [webhook] = received;
    expect(code).toBe(0);
    expect(webhook?.method).toBe('POST');
    expect(
      signedBy(webhook?.body ?? Buffer.of(), String(webhook?.headers['heron-signature']), ['sec_x']),
    ).not.toBeNull();
    expect(parseWebhook(webhook?.body ?? Buffer.of())).toMatchObject({ topic: 'pdf.processed', end_user_id: 'acme-1' });
  });

  it('posts a file as it is', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'body-')), 'body');
    const body = Buffer.from([0, 255, 10, 123]);
    writeFileSync(file, body);
    expect((await heron(['send', '--body', file, '--url', url])).code).toBe(0);
    expect(received[0]?.body.equals(body)).toBe(true);
  });

  it('sends as many as asked, each another webhook', async () => {
    const sent = await heron(['send', 'end_user.processed', '--count', '100', '--url', url, '--json']);
    expect(JSON.parse(sent.stdout)).toMatchObject({ sent: 100, failed: 0, statuses: { 200: 100 } });
    expect(new Set(received.map(({ body }) => body.toString())).size).toBe(100);
  });

  it('exits with 1 where one is refused', async () => {
    answer = { status: 401, body: '' };
    const sent = await heron(['send', 'end_user.processed', '--url', url]);
    expect(sent).toMatchObject({ code: 1, stdout: expect.stringMatching(/^401 {2}1 of 1/) });
  });

  it('says that a topic will be unrouted, and sends it', async () => {
    const sent = await heron(['send', 'submission.archived', '--url', url]);
    expect(sent).toMatchObject({
      code: 0,
      stderr: 'Heron does not document submission.archived: it will be unrouted.\n',
    });
    expect(received).toHaveLength(1);
  });

  it.each(HERON_TOPICS)('makes up a webhook of the documented shape, of an end user: %s', (topic) => {
    const body = Buffer.from(JSON.stringify(sampleWebhook(topic, 'acme-1', Date.now(), 1234)));
    expect(parseWebhook(body)).toMatchObject({
      topic,
      undocumented: null,
      created: expect.stringMatching(/234Z$/),
      heron_id: expect.stringMatching(/^eus_[A-Za-z0-9]{22}$/),
      end_user_id: 'acme-1',
    });
  });
});

describe('heron status', () => {
  it('asks for the id as it is, whatever characters it has', async () => {
    answer = { status: 404, body: '{"title":"Not Found","detail":"unknown"}' };
    const { code, stderr } = await heron(['status', 'a/../b?c#é', '--url', `${url}api`]);
    expect(received[0]?.url).toBe('/api/end-users/a%2F..%2Fb%3Fc%23%C3%A9');
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'heron: 404 Not Found: unknown\n' });
  });

  it('says that what answers is something else', async () => {
    answer = { status: 200, body: '<html>' };
    const { code, stderr } = await heron(['status', 'a', '--url', url]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/is not the query API/);
  });
});
