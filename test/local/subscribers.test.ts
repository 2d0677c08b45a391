import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { MemoryBus } from '../../functions/bus/memory.ts';
import { provision } from '../../functions/bus/provision.ts';
import { eventId } from '../../functions/events/event.ts';
import { keepsBytes } from '../../functions/local/unwrapped.ts';
import { hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { heron, startLocal, withoutEmulators } from '../end-to-end/local.ts';

type Pushed = { readonly headers: IncomingHttpHeaders; readonly body: Buffer };

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** A service under development. @param answer by an HTTP status. */
async function service(answer: (pushed: Pushed) => number): Promise<{ url: string; pushed: Pushed[] }> {
  const pushed: Pushed[] = [];
  const server: Server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const each = { headers: request.headers, body: Buffer.concat(chunks) };
    pushed.push(each);
    response.writeHead(answer(each)).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`, pushed };
}

describe.each([
  ['in memory', true, withoutEmulators()],
  ['over the emulators', hasFirestore && hasPubSub, process.env],
])('heron dev --subscriber %s', (_, isHere, env) => {
  it.skipIf(!isHere)(
    'tells each service of its topics as a CloudEvent, and none waits for one that refuses',
    async () => {
      const [good, bad] = [await service(() => 204), await service(() => 500)];
      const args = ['--subscriber', `good=${good.url},end_user.*`, '--subscriber', `bad=${bad.url}`];
      args.push(
        '--subscriber',
        'choosy=localhost:9,pdf.failed',
        '--filter',
        'choosy=attributes."ce-status" = "processed"',
      );
      const local = await startLocal({ ...env, GOOGLE_CLOUD_PROJECT: newProject(), HERON_SHARED_SECRET: 's' }, args);
      open.push(() => local.interrupt());
      await expect
        .poll(local.output)
        .toMatch(
          /choosy (gets what its filter takes: this .* applies filters|may get what its filter excludes, .*: (this Pub\/Sub emulator|Pub\/Sub in memory) applies no filters)\./,
        );
      const send = (topic: string) => heron(['send', topic, '--url', local.webhook, '--secret', 's']);
      for (const topic of ['pdf.processed', 'end_user.processed', 'end_user.failed'])
        expect((await send(topic)).code).toBe(0);
      const topics = ({ pushed }: { pushed: Pushed[] }) => new Set(pushed.map(({ headers }) => headers['ce-type']));
      await expect
        .poll(() => topics(good), { timeout: 20_000 })
        .toEqual(new Set(['end_user.processed', 'end_user.failed']));
      await expect.poll(() => topics(bad).size, { timeout: 20_000 }).toBe(3);
      for (const { headers, body } of good.pushed) {
        expect(headers).toMatchObject({
          'ce-specversion': '1.0',
          'ce-id': eventId(body),
          'content-type': 'application/json',
          'x-goog-pubsub-message-id': expect.any(String),
        });
        expect(JSON.parse(body.toString()).topic).toBe(headers['ce-type']);
      }
    },
    60_000,
  );
});

describe.skipIf(!hasFirestore || !hasPubSub)('of two services under development, one of which refuses', () => {
  const EVENTS = 20;

  it('the other is told of all meanwhile, and so is that one once it takes them, however often it refused', async () => {
    let takes = false;
    const [good, bad] = [await service(() => 204), await service(() => (takes ? 204 : 503))];
    const args = ['good', 'bad'].map((name, i) => `${name}=${[good, bad][i]?.url},end_user.*`);
    const env = { ...process.env, GOOGLE_CLOUD_PROJECT: newProject(), HERON_SHARED_SECRET: 's' };
    const local = await startLocal(
      env,
      args.flatMap((arg) => ['--subscriber', arg]),
    );
    open.push(() => local.interrupt());
    const sending = ['--count', String(EVENTS), '--url', local.webhook, '--secret', 's'];
    expect(await heron(['send', 'end_user.processed', ...sending])).toMatchObject({ code: 0 });

    const counts = ({ pushed }: { pushed: readonly Pushed[] }) =>
      [...Map.groupBy(pushed, ({ headers }) => headers['ce-id']).values()].map(({ length }) => length);
    await expect.poll(() => counts(bad).filter((times) => times >= 2).length).toBe(EVENTS);
    expect(counts(good)).toEqual(Array(EVENTS).fill(1)); // while the other has had each twice
    const refused = bad.pushed.length;
    takes = true;
    const taken = () => new Set(bad.pushed.slice(refused).map(({ headers }) => headers['ce-id'])).size;
    await expect.poll(taken).toBe(EVENTS);
  });
});

describe.skipIf(!hasPubSub)('bytes that are not UTF-8, in an unwrapped push of the emulator', () => {
  it('come as they were published, or the local stack says so', async () => {
    const config = { projectId: newProject(), topicPrefix: '' };
    const publisher = new GooglePublisher(config);
    open.push(() => publisher.close());
    const kept = await keepsBytes(publisher, (each) => provision(config, each));
    expect(kept).toEqual(expect.any(Boolean));
    const { url } = await service(() => 204);
    const env = { ...process.env, GOOGLE_CLOUD_PROJECT: newProject(), HERON_SHARED_SECRET: 's' };
    const local = await startLocal(env, ['--subscriber', `mailer=${url}`]);
    open.push(() => local.interrupt());
    const note = /changes a body that is not UTF-8 before it pushes it to mailer/;
    if (kept) expect(local.output()).not.toMatch(note);
    else await expect.poll(local.output).toMatch(note);
  });

  it('are kept by the twin in memory', async () => {
    const bus = new MemoryBus();
    open.push(() => bus.close());
    expect(await keepsBytes(bus, async (each) => bus.provision(each))).toBe(true);
  });
});

describe('heron dev --subscriber', () => {
  it.each([
    [['mailer'], /Give it as mailer=/],
    [['projector=http://localhost:1'], /The name projector is taken/],
    [['mailer=http://localhost:1,nothing.*'], /No topic is nothing/],
    [['mailer=ftp://x'], /Give an address/],
    [['mailer=localhost:1', '--subscriber', 'mailer=localhost:2'], /The name mailer is taken/],
    [['mailer=localhost:1', '--filter', 'nobody=attributes.x = "y"'], /No --subscriber is named nobody/],
    [['mailer=localhost:1', '--filter', 'mailer'], /Give it as mailer=/],
  ])('misused as %j exits with 2', async (args, message) => {
    const { code, stderr } = await heron(['dev', '--subscriber', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
