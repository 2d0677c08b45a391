import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { provision } from '../../functions/bus/provision.ts';
import { toDeadLetter } from '../../functions/events/dead-letter.ts';
import type { Message } from '../../functions/events/message.ts';
import { toMessage } from '../../functions/events/message.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { freePort } from '../../functions/local/emulators.ts';
import { hasPubSub, newProject } from '../emulators.ts';
import { HERON, heron } from '../end-to-end/local.ts';
import { event } from '../store/given.ts';

const { GOOGLE_CLOUD_PROJECT, TOPIC_PREFIX, ...environment } = process.env;

describe.concurrent('heron dead-letters', () => {
  it.each([
    [[], /Commands:/],
    [['list'], /^heron: GOOGLE_CLOUD_PROJECT is not set.*\n$/],
    [['list', '--project', 'NO'], /^heron: GOOGLE_CLOUD_PROJECT is no project id.*\n$/],
    [['show'], /missing required argument 'id'/],
    [['discard'], /missing required argument 'id'/],
    [['redrive'], /by their IDs, or all with --all/],
    [['redrive', '1', '--all'], /by their IDs, or all with --all/],
  ])('misused as %j exits with 2 and says how to use it', async (args, message) => {
    const { code, stdout, stderr } = await heron(['dead-letters', ...args], environment);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });

  it('says in a line that Pub/Sub is not there', async () => {
    const env = { ...environment, PUBSUB_EMULATOR_HOST: `127.0.0.1:${await freePort()}` };
    const { code, stdout, stderr } = await heron(['dead-letters', 'list', '--project', 'heron-local'], env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/\nheron: Nothing listens at .* \(ECONNREFUSED\), which PUBSUB_EMULATOR_HOST names.*\n$/);
  });
});

const test = it.extend<{
  world: {
    bury(message: Message): Promise<string>;
    run(...args: string[]): ReturnType<typeof heron>;
    /** The same without --quiet. */
    runAloud(...args: string[]): ReturnType<typeof heron>;
    ids(): Promise<string[]>;
    replayed(): Promise<Message[]>;
    pushReplaysTo(endpoint: string): Promise<void>;
    spawn(...args: string[]): ChildProcess;
  };
}>({
  // biome-ignore lint/correctness/noEmptyPattern: a fixture of its own takes none
  world: async ({}, use) => {
    const config = { projectId: newProject(), topicPrefix: 'staging-' };
    const names = ['dead-letter.reader', 'replay.reader'];
    await provision(config, { topics: names, subscriptions: names.map((topic) => ({ name: topic, topic })) });
    const publisher = new GooglePublisher(config);
    const subscriber = new GoogleSubscriber(config);
    const env = { ...environment, GOOGLE_CLOUD_PROJECT: config.projectId, TOPIC_PREFIX: 'staging-' };
    const args = (command: string) => ['dead-letters', command, '--subscriber', 'reader', '--quiet'];
    const run = ([command = '', ...others]: string[]) => heron([...args(command), ...others], env);
    await use({
      spawn: (command = '', ...others) => spawn(process.execPath, [HERON, ...args(command), ...others], { env }),
      pushReplaysTo: (endpoint) => {
        const push = { endpoint, deadLetterTopic: 'dead-letter.reader' };
        return provision(config, {
          topics: [],
          subscriptions: [{ name: 'replay.reader', topic: 'replay.reader', push }],
        });
      },
      bury: (message) => publisher.publish('dead-letter.reader', message, 5_000),
      run: (...args) => run(args),
      runAloud: (command = '', ...others) => heron(['dead-letters', command, '--subscriber', 'reader', ...others], env),
      ids: async () => {
        const { dead_letters } = JSON.parse((await run(['list', '--json'])).stdout);
        return dead_letters.map(({ id }: { id: string }) => id);
      },
      replayed: async () => (await subscriber.pull('replay.reader', 10)).map(({ message }) => message),
    });
    await Promise.all([publisher.close(), subscriber.close()]);
  },
});

function dead(message: Message): Message {
  return toDeadLetter(message, {
    subscriber: 'reader',
    reason: 'the event cannot be folded',
    messageId: '7',
    publishTime: instantOf(Date.UTC(2026, 7, 14, 12, 24, 39)),
    subscription: 'projects/heron/subscriptions/reader.end_user.processed',
  });
}

const binary = dead({ data: Buffer.from([0, 255, 128]), attributes: { kept: 'é' } });

// Each command waits some seconds for pulls that stay empty.
describe.skipIf(!hasPubSub).concurrent('heron dead-letters', () => {
  test('lists each with its reason, and leaves it there', async ({ world }) => {
    const message = toMessage(event({ heron_id: 'eus_a' }));
    const id = await world.bury(dead(message));
    const { code, stdout, stderr } = await world.run('list', '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      subscriber: 'reader',
      incomplete: false,
      dead_letters: [
        {
          id,
          subscriber: 'reader',
          subscription: 'reader.end_user.processed',
          reason: 'the event cannot be folded',
          deliveries: null,
          published_at: '2026-08-14T12:24:39Z',
          dead_lettered_at: expect.stringMatching(/Z$/),
          topic: 'end_user.processed',
          event_id: message.attributes['ce-id'],
          bytes: message.data.byteLength,
        },
      ],
    });
    const again = await world.run('list');
    expect(again.code).toBe(0);
    for (const part of [id, 'the event cannot be folded', message.attributes['ce-id'], '1 dead letter of reader.'])
      expect(again.stdout).toContain(part);
    expect(again.stdout).not.toContain('eus_a');
  });

  test('lists them for people, one value below the other, and says what next', async ({ world }) => {
    const message = { data: Buffer.from('x'), attributes: {} };
    const poor = toDeadLetter(message, { subscriber: 'reader', reason: 'it is no event\n  at all' });
    const first = await world.bury(dead(message));
    const second = await world.bury(poor);
    const { code, stdout, stderr } = await world.runAloud('list');
    expect(code).toBe(0);
    expect(stdout.replaceAll(/2\d{3}-\S+Z/g, 'TIME')).toBe(
      [
        `${first}  no topic  1 byte`,
        '  reason    the event cannot be folded',
        '  from      reader.end_user.processed',
        '  since     TIME',
        '  given up  TIME',
        '',
        `${second}  no topic  1 byte`,
        '  reason    it is no event',
        '              at all',
        '  given up  TIME',
        '',
        '2 dead letters of reader.',
        '',
      ].join('\n'),
    );
    expect(stderr).toMatch(/^heron dead-letters show ID --subscriber reader reads one whole, redrive ID/m);
    const redriven = await world.runAloud('redrive', second);
    expect(redriven.stderr).toMatch(/^What is refused again comes back: heron dead-letters list --subscriber reader/m);
  });

  test('lists none, which is no failure', async ({ world }) => {
    expect(await world.run('list')).toEqual({ code: 0, stdout: '0 dead letters of reader.\n', stderr: '' });
  });

  test('says which subscription it does not find', async ({ world }) => {
    const { code, stdout, stderr } = await world.run('list', '--subscriber', 'nobody');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^heron: test-\S+ has no subscription staging-dead-letter\.nobody \(.*\): check .*\n$/);
  });

  test('shows one whole, for programs byte for byte', async ({ world }) => {
    const id = await world.bury(binary);
    const shown = await world.run('show', id, '--json');
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(shown.stdout)).toMatchObject({
      dead_letters: [{ id, attributes: { kept: 'é' }, body: 'AP+A', text: null }],
      missing: [],
    });
    expect(await world.ids()).toEqual([id]);
  });

  test('shows people text, without what would steer their terminal', async ({ world }) => {
    const id = await world.bury(dead({ data: Buffer.from('{"é":\n"\u001b[2J"}'), attributes: { note: '\u202e' } }));
    const { code, stdout } = await world.run('show', id);
    expect(code).toBe(0);
    expect(stdout).toContain('{"é":\n"\\u{1b}[2J"}');
    expect(stdout).toMatch(/note +\\u\{202e\}\n/);
  });

  test('redrives those that are named, and exits with 1 where one is not found', async ({ world }) => {
    const id = await world.bury(binary);
    const left = await world.bury(dead({ data: Buffer.from('left'), attributes: {} }));
    const { code, stdout, stderr } = await world.run('redrive', id, 'unknown');
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'unknown was not found among the dead letters of reader.\n' });
    expect(stdout).toBe(`redriven  ${id}\n1 dead letter of reader redriven.\n`);
    expect(await world.replayed()).toEqual([{ data: Buffer.from([0, 255, 128]), attributes: { kept: 'é' } }]);
    expect(await world.ids()).toEqual([left]);
  });

  test('redrives all', async ({ world }) => {
    const ids = [await world.bury(binary), await world.bury(dead({ data: Buffer.from('x'), attributes: {} }))];
    const { code, stdout } = await world.run('redrive', '--all', '--json');
    const told = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(told).toMatchObject({ subscriber: 'reader', failed: [], missing: [], again: 0, incomplete: false });
    expect(told.redriven.map(({ id }: { id: string }) => id).sort()).toEqual(ids.sort());
    expect(await world.ids()).toEqual([]);
  });

  test('redrives all, though nobody reads of it any more', async ({ world }) => {
    for (const text of ['a', 'b', 'c']) await world.bury(dead({ data: Buffer.from(text), attributes: {} }));
    const child = world.spawn('redrive', '--all');
    child.stdout?.destroy();
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(await world.ids()).toEqual([]);
    expect(await world.replayed()).toHaveLength(3);
  });

  test('exits with 1 where one came back at once, and says so', async ({ world }) => {
    const id = await world.bury(dead({ data: Buffer.from('poison'), attributes: {} }));
    const refusing = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { messageId, data } = JSON.parse(Buffer.concat(chunks).toString()).message;
      const message = { data: Buffer.from(data, 'base64'), attributes: {} };
      await world.bury(toDeadLetter(message, { subscriber: 'reader', reason: 'still no', messageId }));
      response.end();
    });
    await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
    await world.pushReplaysTo(`http://127.0.0.1:${(refusing.address() as AddressInfo).port}/`);
    const { code, stdout, stderr } = await world.run('redrive', '--all');
    refusing.close();
    expect(stdout).toContain(`redriven  ${id}\n`);
    expect(stderr).toMatch(/^1 dead letter came back at once, refused again: .*\n$/);
    expect(code).toBe(1);
  });

  test('discards those that are named', async ({ world }) => {
    const [id, left] = [await world.bury(binary), await world.bury(binary)];
    const { code, stdout } = await world.run('discard', id);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `discarded  ${id}\n1 dead letter of reader discarded.\n` });
    expect(await world.ids()).toEqual([left]);
    expect((await world.run('discard', id)).code).toBe(1);
  });
});
