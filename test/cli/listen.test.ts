import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PubSub } from '@google-cloud/pubsub';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { provision } from '../../functions/bus/provision.ts';
import { Service } from '../../functions/cli/listen.ts';
import type { HeronEvent } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { freePort } from '../../functions/local/emulators.ts';
import { hasPubSub, newProject } from '../emulators.ts';
import { HERON, heron } from '../end-to-end/local.ts';
import { proxyTo } from '../proxy.ts';
import { event, logged } from '../store/given.ts';
import { until } from '../until.ts';

type Pushed = { readonly headers: IncomingHttpHeaders; readonly body: Buffer };

/** A service on this machine. @param answer an HTTP status; null for never. */
async function service(answer: (pushed: Pushed) => number | null = () => 204, port = 0) {
  const pushed: Pushed[] = [];
  const server: Server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const each = { headers: request.headers, body: Buffer.concat(chunks) };
    pushed.push(each);
    const status = answer(each);
    if (status !== null) response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const ids = () => new Set(pushed.map(({ headers }) => headers['ce-id']));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, pushed, ids, close };
}

describe('a service under development', () => {
  const message = (n: number) => ({
    id: String(n),
    data: Buffer.from([n]),
    attributes: { 'ce-id': String(n) },
    publishTime: new Date(0),
  });
  const stopping = new AbortController();
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  it('is told of ten events at a time', async () => {
    let [underWay, most, isHeld] = [0, 0, true];
    const held: ServerResponse[] = [];
    const answer = (response: ServerResponse) => {
      underWay--;
      response.writeHead(204).end();
    };
    const server = createServer((request, response) => {
      if (request.url === '/control') return response.writeHead(204).end();
      most = Math.max(most, ++underWay);
      return isHeld ? held.push(response) : setImmediate(answer, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const service = new Service(url);
    const all = Array.from({ length: 45 }, (_, n) => service.push(message(n), 's', stopping.signal));
    await until(() => held.length >= 10);
    for (let i = 0; i < 5; i++) await fetch(`${url}control`); // what else was on its way has come, too
    isHeld = false;
    held.forEach(answer);
    expect(await Promise.all(all)).toEqual(all.map(() => 204));
    expect(most).toBe(10);
  });

  it('has so long to answer, and no longer', async () => {
    const server = createServer((_, response) => setTimeout(() => response.writeHead(204).end(), 2_000));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const asked = (milliseconds?: number) => new Service(url, milliseconds).push(message(0), 's', stopping.signal);
    expect(await Promise.all([asked(), asked(200)])).toEqual([204, 'no answer within 0.2 s']);
  });

  it('cannot be told of what no header can carry, and nobody says that it is gone', async () => {
    const local = await service();
    closing.push(local.close);
    const odd = { ...message(0), attributes: { 'ce-id': 'a\nb' } };
    expect(await new Service(local.url).push(odd, 's', stopping.signal)).toMatch(/header/i);
    expect(local.pushed).toEqual([]);
  });

  it('acknowledges as production would: a redirect is not followed', async () => {
    const elsewhere = await service();
    const local = createServer((_, response) => response.writeHead(302, { Location: elsewhere.url }).end());
    await new Promise<void>((resolve) => local.listen(0, '127.0.0.1', resolve));
    closing.push(elsewhere.close, () => local.close());
    const { port } = local.address() as AddressInfo;
    expect(await new Service(`http://127.0.0.1:${port}/`).push(message(0), 's', stopping.signal)).toBe(302);
    expect(elsewhere.pushed).toEqual([]);
  });
});

describe.skipIf(!hasPubSub)('heron listen', () => {
  let config: { projectId: string; topicPrefix: string };
  let env: NodeJS.ProcessEnv;
  let publisher: GooglePublisher;
  const closing: (() => unknown)[] = [];

  beforeEach(async () => {
    config = { projectId: newProject(), topicPrefix: 'a-' };
    env = { ...process.env, GOOGLE_CLOUD_PROJECT: config.projectId, TOPIC_PREFIX: 'a-', NO_COLOR: '1' };
    const topics = ['end_user.processed', 'end_user.failed', 'pdf.failed', 'unrouted'];
    const subscriptions = [{ name: 'me.end_user.processed', topic: 'end_user.processed' }];
    await provision(config, { topics, subscriptions });
    publisher = new GooglePublisher(config);
    closing.push(() => publisher.close());
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const publish = (each: HeronEvent, topic = each.topic ?? '') => publisher.publish(topic, toMessage(each), 30_000);
  const publishMany = async (from: number, to: number) => {
    const some = Array.from({ length: to - from }, (_, n) => event({ heron_id: 'eus_a', n: from + n }));
    await Promise.all(some.map((each) => publish(each)));
    return some.map(({ event_id }) => event_id);
  };
  const started = async (
    to: string,
    args: readonly string[] = ['--topic', 'end_user.*'],
    more: NodeJS.ProcessEnv = {},
  ) => {
    const child: ChildProcess = spawn(process.execPath, [HERON, 'listen', '--to', to, '--name', 'me', ...args], {
      env: { ...env, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    closing.push(() => child.kill('SIGKILL'));
    const said = { out: '', err: '' };
    child.stdout?.on('data', (chunk) => {
      said.out += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      said.err += chunk;
    });
    const ended = once(child, 'exit');
    await until(() => /Ctrl-C ends it|"listening"/.test(said.out + said.err) || child.exitCode !== null);
    const end = async (signal: NodeJS.Signals) => {
      child.kill(signal);
      return (await ended)[0];
    };
    return { said, end };
  };
  const open = async (answer?: (pushed: Pushed) => number | null, port?: number) => {
    const made = await service(answer, port);
    closing.push(made.close);
    return made;
  };
  const subscriptions = async () => {
    const pubsub = new PubSub({ projectId: config.projectId });
    const [all] = await pubsub.getSubscriptions();
    await pubsub.close();
    return all;
  };

  it('forwards what production would push, byte for byte, and says by which subscriptions', async () => {
    const local = await open();
    const { said, end } = await started(local.url, ['--topic', 'end_user.*', 'unrouted']);
    const sent = [
      event({ heron_id: 'eus_a', end_user_id: 'acme', status: 'processed' }),
      logged(Uint8Array.of(0, 255, 128, 10, 123)),
    ];
    await publish(sent[0] as HeronEvent);
    await publish(sent[1] as HeronEvent, 'unrouted');
    await publish(event({ topic: 'pdf.failed' }));
    await until(() => local.ids().size === 2);
    for (const [i, each] of sent.entries()) {
      const got = local.pushed.find(({ headers }) => headers['ce-id'] === each.event_id);
      expect(got?.body.equals(Buffer.from(each.body))).toBe(true);
      const attributes = Object.entries(toMessage(each).attributes).map(([key, value]) => [key.toLowerCase(), value]);
      expect(got?.headers).toMatchObject({
        ...Object.fromEntries(attributes),
        'x-goog-pubsub-message-id': expect.stringMatching(/./),
        'x-goog-pubsub-publish-time': expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        'x-goog-pubsub-subscription-name': `projects/${config.projectId}/subscriptions/a-listen_me.${['end_user.processed', 'unrouted'][i]}`,
      });
    }
    expect(said.err).toMatch(
      /Listening to 3 topics by a-listen_me\.end_user\.\w+, .*, forwarding to http:.*\nEvents from now on\. .* waits, for 7 days; .* deleted on \d{4}-\d\d-\d\d\.\n/,
    );
    await until(() => /end_user\.processed +processed +acme {2}204, \d+ ms\n/.test(said.out));
    expect(await end('SIGINT')).toBe(0);
    expect(local.ids().size).toBe(2);
  });

  it('closed while webhooks come, and opened again, gets all of them; also after a kill', async () => {
    const held = event({ heron_id: 'eus_a', n: 1 }).event_id;
    const first = await open(({ headers }) => (headers['ce-id'] === held ? null : 204));
    const before = await publishMany(0, 1);
    const listening = await started(first.url);
    await publishMany(1, 2);
    await until(() => first.ids().has(held));
    await listening.end('SIGKILL'); // with one that is not answered
    const meanwhile = await publishMany(2, 300);

    const second = await open();
    const again = await started(second.url, ['--topic', 'end_user.*', '--json']);
    await until(() => second.ids().size >= 299);
    expect(second.ids()).toEqual(new Set([held, ...meanwhile]));
    expect(second.ids().has(before[0])).toBe(false); // it was not listened for yet
    expect(JSON.parse(again.said.out.split('\n')[0] ?? '')).toMatchObject({
      listening: ['a-listen_me.end_user.processed', 'a-listen_me.end_user.failed'],
      made: 0,
      to: second.url,
      expires_at: expect.stringMatching(/^\d{4}-/),
    });
    expect(await again.end('SIGTERM')).toBe(0);

    // What was acknowledged does not come again.
    const third = await open();
    const last = await started(third.url);
    const [marker] = await publishMany(300, 301);
    await until(() => third.ids().has(marker));
    expect(third.ids()).toEqual(new Set([marker]));
    await last.end('SIGINT');
  });

  it('tries again what is refused, and holds up nothing else for it', async () => {
    const bad = event({ heron_id: 'eus_a', n: 'bad' });
    let refusals = 0;
    const local = await open(({ headers }) => (headers['ce-id'] === bad.event_id && ++refusals < 3 ? 500 : 200));
    const { said, end } = await started(local.url);
    await publish(bad);
    const others = await publishMany(0, 40);
    await until(() => others.every((id) => local.ids().has(id)) && refusals >= 3);
    await until(() => / {2}200, \d+ ms\n/.test(said.out));
    expect(said.out).toMatch(/ {2}500, \d+ ms: it comes again\n/);
    await end('SIGINT');
  });

  it('waits where nothing listens, says so once, and goes on when it is there', async () => {
    const port = await freePort();
    const { said, end } = await started(`http://127.0.0.1:${port}/`);
    const ids = await publishMany(0, 30);
    await until(() => /Nothing answers at .* \(.*ECONNREFUSED.*\): events wait\./.test(said.err));
    const local = await open(undefined, port);
    await until(() => ids.every((id) => local.ids().has(id)));
    await until(() => /answers again\./.test(said.err));
    expect(said.err.match(/Nothing answers/g)).toHaveLength(1);
    await end('SIGINT');
  });

  it.each(['is refused', 'falls silent'])(
    'where the connection %s, says so, and gets all once it is back',
    async (how) => {
      const proxy = await proxyTo(String(process.env.PUBSUB_EMULATOR_HOST));
      closing.push(() => proxy.close());
      const local = await open();
      const { said, end } = await started(local.url, undefined, { PUBSUB_EMULATOR_HOST: proxy.host });
      const [first] = await publishMany(0, 1);
      await until(() => local.ids().has(first));
      if (how === 'is refused') await proxy.cut();
      else proxy.silence();
      const ids = await publishMany(1, 60);
      await until(() => /Cut off from Pub\/Sub \(/.test(said.err));
      await proxy.restore();
      await until(() => ids.every((id) => local.ids().has(id)));
      await until(() => /Pub\/Sub is there again\./.test(said.err));
      await end('SIGINT');
    },
  );

  it('has subscriptions of its own that expire, and takes nothing from others', async () => {
    const local = await open();
    const { end } = await started(local.url, ['--topic', 'end_user.processed']);
    const ids = await publishMany(0, 5);
    await until(() => local.ids().size === 5);
    await end('SIGINT');
    const all = await subscriptions();
    expect(all.map(({ name }) => name.split('/').at(-1)).sort()).toEqual([
      'a-listen_me.end_user.processed',
      'a-me.end_user.processed',
    ]);
    const own = all.find(({ name }) => name.includes('listen_me'))?.metadata;
    expect(Number(own?.expirationPolicy?.ttl?.seconds)).toBe(8 * 86_400);
    expect(Number(own?.messageRetentionDuration?.seconds)).toBe(7 * 86_400);
    const subscriber = new GoogleSubscriber(config);
    const pulled = await subscriber.pull('me.end_user.processed', 100);
    await subscriber.close();
    expect(new Set(pulled.map(({ message }) => message.attributes['ce-id']))).toEqual(new Set(ids));
  });

  it.each([
    [['--name', 'Me Too', '--to', 'http://localhost:1'], 2, 'misused', /lower-case letters/],
    [['--name', 'me'], 2, 'misused', /--to/],
    [['--to', 'localhost:1'], 2, 'misused', /--name/],
    [['--name', 'me', '--to', 'localhost:1', '--topic', 'nothing.*'], 2, 'misused', /No topic is nothing/],
    [
      ['--name', 'me', '--to', 'localhost:1', '--topic', 'pdf.processed'],
      1,
      'not-found',
      /has no topic a-pdf\.processed/,
    ],
  ])('that cannot be is told in a line: %j', async (args, code, kind, message) => {
    const failed = await heron(['listen', '--json', '--quiet', ...args], env);
    expect({ code: failed.code, stderr: failed.stderr, ...JSON.parse(failed.stdout) }).toEqual({
      code,
      stderr: '',
      error: { code: kind, message: expect.stringMatching(message) },
    });
  });
});
