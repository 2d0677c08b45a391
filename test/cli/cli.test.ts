import { spawn } from 'node:child_process';
import { once } from 'node:events';
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
import manifest from '../../package.json' with { type: 'json' };
import { HERON, heron } from '../end-to-end/local.ts';

type Received = {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

let received: Received[] = [];
type Reply = { readonly status: number; readonly body: string; readonly type?: string };
let answer: Reply | ((request: Received) => Reply) = { status: 200, body: '' };
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const { method, url, headers } = request;
  const each = { method, url, headers, body: Buffer.concat(chunks) };
  received.push(each);
  const { status, body, type = 'application/json' } = typeof answer === 'function' ? answer(each) : answer;
  response.writeHead(status, { 'Content-Type': type }).end(body);
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
  it.each([['--help'], ['send', '--help'], ['status', '--help'], ['dev', '--help'], ['doctor', '--help']])(
    'explains itself: %s %s',
    async (...args) => {
      const { code, stdout, stderr } = await heron(args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/^Usage: heron /);
      expect(stdout).not.toContain('(default: false)');
    },
  );

  it.each([
    [[], /Usage: heron/],
    [['nonsense'], /unknown command 'nonsense'/],
    [['send', '--count', '0', 'end_user.created'], /whole number from 1/],
    [['send'], /Name a topic/],
    [['send', 'end_user.created', '--secret', ' '], /empty/],
    [
      ['send', 'end_user.created', '--url', 'https://ingest.invalid/'],
      /No secret to sign with.*HERON_SHARED_SECRET_FILE.*--secret/,
    ],
    [['send', '--body', '/no/such/file'], /cannot be read \(ENOENT\)/],
    [['send', 'end_user.created', '--body', '/dev/null'], /leave out the topic, or --body/],
    [['wait', 'a'], /required option '--for/],
    [['wait', 'a', '--for', 'processed', '--timeout', 'soon'], /duration such as 90s/],
    [['wait', 'a', '--for', 'processed', '--after', 'today'], /RFC 3339/],
    [['status', 'a', '--url', 'ftp://x'], /Give an address/],
    [['status', 'a', '--url', 'http://'], /Give an address/],
    [['dev', '--port', '65535'], /port from 1 to 65534/],
    [['status'], /missing required argument 'id'/],
    [['status', 'a', '--colour'], /unknown option '--colour'/],
  ])('misused as %j exits with 2 and says how to use it', async (args, message) => {
    const { code, stdout, stderr } = await heron(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
  });

  it('tells its version', async () => {
    expect(await heron(['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
  });

  it.each([
    [['nonsense', '--json'], 'misused', 2],
    [['send', '--json'], 'misused', 2],
    [['status', 'a', '--json', '--colour'], 'misused', 2],
    [['rebuild', '--json', '--project', 'NO'], 'misconfigured', 2],
    [['status', 'a', '--json', '--url', 'http://127.0.0.1:9'], 'unreachable', 1],
  ])('with --json a failure is JSON, and tells its code: %j', async (args, code, exitCode) => {
    const failed = await heron(args);
    expect(failed).toMatchObject({ code: exitCode, stderr: '' });
    expect(JSON.parse(failed.stdout)).toEqual({ error: { code, message: expect.stringMatching(/./) } });
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

  it('signs with the first of the secrets of a file, as ingest reads it', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'secret-')), 'secret');
    writeFileSync(file, 'sec_new\nsec_old\n');
    const env = { ...process.env, HERON_SHARED_SECRET_FILE: file };
    expect((await heron(['send', 'pdf.processed', '--url', url], env)).code).toBe(0);
    const { body = Buffer.of(), headers } = received[0] ?? {};
    expect(signedBy(body, String(headers?.['heron-signature']), ['sec_old', 'sec_new'])).toBe(1);
  });

  it('posts a file as it is, and so what comes on standard input', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'body-')), 'body');
    const body = Buffer.from([0, 255, 10, 123]);
    writeFileSync(file, body);
    expect((await heron(['send', '--body', file, '--url', url])).code).toBe(0);
    expect(received[0]?.body.equals(body)).toBe(true);
    const child = spawn(process.execPath, [HERON, 'send', '--body', '-', '--url', url], { stdio: 'pipe' });
    child.stdin.end(body);
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(received[1]?.body.equals(body)).toBe(true);
  });

  it('sends as many as asked, each another webhook', async () => {
    const sent = await heron(['send', 'end_user.processed', '--count', '100', '--url', url, '--json']);
    expect(JSON.parse(sent.stdout)).toMatchObject({ sent: 100, failed: 0, statuses: { 200: 100 } });
    expect(new Set(received.map(({ body }) => body.toString())).size).toBe(100);
  });

  it('exits with 1 where one is refused', async () => {
    answer = { status: 401, body: '' };
    const sent = await heron(['send', 'end_user.processed', '--url', url]);
    expect(sent).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^401 {2}1 of 1/),
      stderr: expect.stringMatching(/the secret that ingest has\? .*--secret/),
    });
  });

  it('tells why it was refused, and steers no terminal by it', async () => {
    answer = {
      status: 401,
      body: '{"detail":"The signature\\u001b[2J is not right."}',
      type: 'application/problem+json',
    };
    const sent = await heron(['send', 'end_user.processed', '--url', url]);
    expect(sent.stdout).toMatch(/^401 .*\n {2}The signature\\u\{1b\}\[2J is not right\.\n$/);
    const told = JSON.parse((await heron(['send', 'end_user.processed', '--url', url, '--json'])).stdout);
    expect(told).toMatchObject({ failed: 1, details: { 401: expect.stringMatching(/is not right/) } });
  });

  it('says that a topic will be unrouted, and sends it', async () => {
    const sent = await heron(['send', 'submission.archived', '--url', url]);
    expect(sent).toMatchObject({
      code: 0,
      stderr: 'Heron does not document submission.archived: it will be unrouted.\n',
    });
    expect(await heron(['send', 'submission.archived', '--url', url, '--quiet'])).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(received).toHaveLength(2);
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
