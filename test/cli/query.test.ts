import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EndUserAnswer } from '../../functions/query/answers.ts';
import { HERON, heron } from '../end-to-end/local.ts';

type Asked = { readonly url: URL; readonly headers: IncomingHttpHeaders };
type Reply = { readonly status: number; readonly body: unknown; readonly type?: string };

let asked: Asked[] = [];
let answer: (asked: Asked) => Reply;
const server = createServer((request, response) => {
  const each = { url: new URL(request.url ?? '', 'http://query'), headers: request.headers };
  asked.push(each);
  const { status, body, type = 'application/json' } = answer(each);
  response.writeHead(status, { 'Content-Type': type }).end(typeof body === 'string' ? body : JSON.stringify(body));
});
let url: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
beforeEach(() => {
  asked = [];
});
afterAll(() => server.close());

const STATE: EndUserAnswer = {
  heron_id: 'eus_a',
  end_user_id: 'acme-1',
  status: 'processed',
  status_at: '2026-08-14T12:24:39Z',
  processed_at: '2026-08-14T12:24:39Z',
  failed_at: null,
  reviewed_at: null,
  review_required: false,
  failing: false,
  first_event_at: '2026-08-14T12:20:00Z',
  last_event_at: '2026-08-14T12:24:39Z',
  last_event: { id: '0', topic: 'end_user.processed', created: '2026-08-14T12:24:39Z' },
  event_count: 3,
  meta: null,
};

function problem(status: number, type: string): Reply {
  return {
    status,
    body: { type: `/problems#${type}`, status, detail: `It is ${type}.` },
    type: 'application/problem+json',
  };
}

/** An environment without Google Cloud credentials. */
const env = { ...process.env, METADATA_SERVER_DETECTION: 'none', GOOGLE_APPLICATION_CREDENTIALS: '/no/such/file' };
const failing = async (...args: string[]) => {
  const { code, stdout } = await heron([...args, '--json', '--url', url], env);
  return { exit: code, ...JSON.parse(stdout).error };
};

describe('heron status', () => {
  it('asks for the id as it is, whatever characters it has, and needs no scheme', async () => {
    answer = () => ({ status: 200, body: STATE });
    const { code, stdout } = await heron(['status', 'a/../b?c#é', '--url', `${url.slice('http://'.length)}api`]);
    expect(asked[0]?.url.pathname).toBe('/api/end-users/a%2F..%2Fb%3Fc%23%C3%A9');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^heron_id +eus_a\nend_user_id +acme-1\nstatus +processed\n/);
  });

  it('shows what comes from outside without letting it steer the terminal', async () => {
    answer = () => ({ status: 200, body: { ...STATE, end_user_id: 'a\u001b[2J\nb\u202ec\u009b' } });
    const { stdout } = await heron(['status', 'a', '--url', url]);
    expect(stdout).toMatch(/^end_user_id +a\\u\{1b\}\[2J b\\u\{202e\}c\\u\{9b\}$/m);
    const json = await heron(['status', 'a', '--url', url, '--json']);
    expect(json.stdout).not.toMatch(/[^\P{C}\n]/u);
    expect(JSON.parse(json.stdout).end_user_id).toBe('a\u001b[2J\nb\u202ec\u009b');
  });

  it.each<[string, Reply, string]>([
    ['unknown', problem(404, 'end-user-unknown'), 'end-user-unknown'],
    ['ambiguous', problem(409, 'end-user-ambiguous'), 'end-user-ambiguous'],
    ['unavailable', problem(503, 'unavailable'), 'unavailable'],
    ['a gateway that does not reach it', { status: 502, body: '<html>', type: 'text/html' }, 'unavailable'],
    ['another server', { status: 200, body: '<html>', type: 'text/html' }, 'not-the-query-api'],
    ['another server’s JSON', { status: 200, body: { ok: true } }, 'not-the-query-api'],
    ['another server’s list', { status: 200, body: [] }, 'not-the-query-api'],
    ['another server’s error', { status: 404, body: { error: 'x' } }, 'not-the-query-api'],
    [
      'another server’s problem, such as ingest’s',
      { ...problem(405, ''), body: { detail: 'POST.' } },
      'not-the-query-api',
    ],
    ['a problem of what stands before it', { ...problem(503, ''), body: { detail: 'Later.' } }, 'unavailable'],
    ['a login page', { status: 302, body: '', type: 'text/html' }, 'not-the-query-api'],
    ['IAM, without credentials', { status: 403, body: '<html>', type: 'text/html' }, 'unauthenticated'],
  ])('tells apart by its code: %s', async (_, reply, code) => {
    answer = () => reply;
    expect(await failing('status', 'a')).toEqual({ exit: 1, code, message: expect.stringMatching(/\w.*\.$/) });
  });

  it('says a problem’s detail to people', async () => {
    answer = () => problem(404, 'end-user-unknown');
    const { code, stdout, stderr } = await heron(['status', 'a', '--url', url]);
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: 'heron: It is end-user-unknown.\n' });
  });
});

describe('a query API that takes its time', () => {
  it.each([['status'], ['events']])(
    'is waited for by heron %s, which says so, and is then believed',
    async (command) => {
      const late = createServer((request, response) => {
        const isOfEvents = request.url?.includes('/events');
        const body = JSON.stringify(isOfEvents ? { events: [], next_page_token: null } : STATE);
        const answer = () => response.writeHead(200, { 'Content-Type': 'application/json' }).end(body);
        waiting.then(answer);
      });
      await new Promise<void>((resolve) => late.listen(0, '127.0.0.1', resolve));
      const address = `http://127.0.0.1:${(late.address() as AddressInfo).port}/`;
      const child = spawn(process.execPath, [HERON, command, 'a', '--url', address], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const waiting = new Promise<void>((resolve) => {
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          if (text.includes(`Still waiting for ${address} …`)) resolve();
        });
      });
      const [code] = await once(child, 'close');
      late.close();
      expect(code).toBe(0);
      await waiting;
    },
  );
});

describe('a deployed query, which lets in only whom IAM knows', () => {
  const guarded =
    (token: string) =>
    ({ headers }: Asked): Reply =>
      headers.authorization === `Bearer ${token}`
        ? { status: 200, body: STATE }
        : { status: headers.authorization === undefined ? 403 : 401, body: '<html>', type: 'text/html' };

  it('is asked with the token that is given, and at once', async () => {
    answer = guarded('given');
    expect((await heron(['status', 'a', '--url', url, '--token', 'given'], env)).code).toBe(0);
    expect(asked).toHaveLength(1);
    expect(await failing('status', 'a', '--token', 'old')).toMatchObject({ exit: 1, code: 'unauthenticated' });
  });

  /** A service account's credentials, as Google's machines have them. @returns the environment, and who asked for what. */
  const withMetadata = async (token: () => string) => {
    const audiences: (string | null)[] = [];
    const metadata = createServer((request, response) => {
      const path = new URL(request.url ?? '', 'http://metadata');
      response.setHeader('Metadata-Flavor', 'Google');
      const isAsked = path.pathname.endsWith('/identity');
      if (isAsked) audiences.push(path.searchParams.get('audience'));
      response.end(isAsked ? token() : '');
    });
    await new Promise<void>((resolve) => metadata.listen(0, '127.0.0.1', resolve));
    const { GOOGLE_APPLICATION_CREDENTIALS, ...others } = env;
    const shell = {
      ...others,
      HOME: '/nonexistent', // and no credentials of a person
      METADATA_SERVER_DETECTION: 'assume-present',
      GCE_METADATA_HOST: `127.0.0.1:${(metadata.address() as AddressInfo).port}`,
    };
    return { shell, audiences, [Symbol.dispose]: () => void metadata.close() };
  };

  it('is asked with an identity token of the application default credentials', async () => {
    answer = guarded('of the service account');
    using metadata = await withMetadata(() => 'of the service account');
    const { code, stderr } = await heron(['status', 'a', '--quiet', '--url', url], metadata.shell);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(metadata.audiences).toEqual([new URL(url).origin]);
  });

  it('is asked with one token many times, and with another once that has run out', async () => {
    const event = { id: '0', topic: 'end_user.processed', created: null, received_at: '2026-08-14T12:24:39Z' };
    let pages = 0;
    let valid = 'token 1';
    answer = ({ headers }) => {
      if (headers.authorization !== `Bearer ${valid}`)
        return { status: headers.authorization === undefined ? 403 : 401, body: '<html>', type: 'text/html' };
      if (++pages === 2) valid = 'token 2';
      return { status: 200, body: { events: [event], next_page_token: pages < 4 ? String(pages) : null } };
    };
    let tokens = 0;
    using metadata = await withMetadata(() => `token ${++tokens}`);
    expect(await heron(['events', 'a', '--url', url, '--quiet'], metadata.shell)).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(metadata.audiences).toHaveLength(2);
    // One without, two pages, one with what has run out, two pages.
    expect(asked.map(({ headers }) => headers.authorization?.slice(-1))).toEqual([undefined, '1', '1', '1', '2', '2']);
  });

  it('says that the account may not ask', async () => {
    answer = () => ({ status: 403, body: '<html>', type: 'text/html' });
    expect(await failing('status', 'a', '--token', 'mine')).toMatchObject({
      code: 'permission-denied',
      message: expect.stringMatching(/roles\/run\.invoker/),
    });
  });
});

describe('heron wait', () => {
  it('asks with what it waits for, and answers with the state', async () => {
    answer = () => ({ status: 200, body: STATE });
    const after = '2026-08-14T00:00:00Z';
    const args = ['wait', 'a', '--for', 'processed,failed', '--after', after, '--timeout', '5m', '--url', url];
    expect(await heron([...args, '--json'])).toMatchObject({ code: 0, stdout: `${JSON.stringify(STATE)}\n` });
    const { searchParams } = asked[0]?.url ?? new URL(url);
    expect(Object.fromEntries(searchParams)).toEqual({ wait_for: 'processed,failed', after, timeout: '25' });
  });

  it('goes on through what passes, and through an end user that nobody knows yet', async () => {
    const replies = [problem(404, 'end-user-unknown'), problem(503, 'unavailable'), { status: 200, body: STATE }];
    answer = () => replies[Math.min(asked.length, 3) - 1] as Reply;
    expect((await heron(['wait', 'a', '--for', 'processed', '--url', url])).code).toBe(0);
    expect(asked).toHaveLength(3);
  });

  it('sees what happened between two requests', async () => {
    const before = { ...STATE, status: 'ready', processed_at: null };
    const replies = [before, { ...STATE, status: 'reviewed' }].map((body) => ({ status: 202, body }));
    answer = () => replies[Math.min(asked.length, 2) - 1] as Reply;
    expect((await heron(['wait', 'a', '--for', 'processed', '--url', url])).code).toBe(0);
  });

  it('exits with 1 once the time is out, and says so', async () => {
    answer = () => ({ status: 202, body: { ...STATE, status: 'ready' } });
    expect(await failing('wait', 'a', '--for', 'failed', '--timeout', '1s')).toMatchObject({
      exit: 1,
      code: 'timed-out',
    });
  });

  it('that is over says so where nobody has heard of the end user', async () => {
    answer = () => problem(404, 'end-user-unknown');
    expect(await failing('wait', 'acme', '--for', 'failed', '--timeout', '1s')).toMatchObject({
      exit: 1,
      code: 'timed-out',
      message: expect.stringMatching(/^No webhook has named acme within 1 s, nor before\./),
    });
  });

  it('for a status that Heron does not document says so at once, and waits', async () => {
    answer = () => ({ status: 200, body: STATE });
    const { code, stderr } = await heron(['wait', 'a', '--for', 'procesed,failed', '--url', url]);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'Heron does not document the status procesed: it is waited for all the same.\n',
    });
  });

  it('does not wait for what will not come', async () => {
    answer = () => problem(409, 'end-user-ambiguous');
    expect(await failing('wait', 'a', '--for', 'failed')).toMatchObject({ exit: 1, code: 'end-user-ambiguous' });
  });
});

describe('heron events', () => {
  const event = (n: number) => ({
    id: String(n).padStart(64, '0'),
    topic: n === 0 ? 'end_user.created' : 'end_user.failed',
    created: `2026-08-1${n % 3}T12:24:39.123456Z`,
    received_at: `2026-08-1${n % 3}T${n === 1 ? '14' : '12'}:30:00Z`,
    status: n === 0 ? 'new' : 'failed\u001b',
  });

  it('prints the history as a timeline, oldest first, over all pages', async () => {
    answer = ({ url }) =>
      url.searchParams.has('page_token')
        ? { status: 200, body: { events: [event(0)], next_page_token: null } }
        : { status: 200, body: { events: [event(2), event(1)], next_page_token: 'n' } };
    const { code, stdout, stderr } = await heron(['events', 'acme-1', '--url', url], { ...env, NO_COLOR: '1' });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '3 events, all there are.\n' });
    expect(stdout.split('\n')).toEqual([
      '2026-08-10',
      '  12:24:39.123 end_user.created                      new              00000000 +5 min',
      '',
      '2026-08-11',
      '  12:24:39.123 end_user.failed                       failed\\u{1b}     00000000 +2 h 5 min',
      '',
      '2026-08-12',
      '  12:24:39.123 end_user.failed                       failed\\u{1b}     00000000 +5 min',
      '',
    ]);
  });

  it('stops quietly where nobody reads on', async () => {
    const events = Array.from({ length: 100 }, (_, n) => event(n % 3));
    answer = () => ({ status: 200, body: { events, next_page_token: 'n' } });
    const args = [HERON, 'events', 'acme-1', '--limit', '5000', '--url', url];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.stdout.destroy();
    const [code] = await once(child, 'close');
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringMatching(/EPIPE| at /) });
  });
});
