import { describe, expect, it } from 'vitest';
import { MemoryBus } from '../../functions/bus/memory.ts';
import { DELIVERY, topology } from '../../functions/bus/topology.ts';
import { busContract, type Side } from './contract.ts';

describe('the in-memory bus', () => {
  // Its timing is set where it is made: what the contract asks for is put in then.
  busContract((): Side => {
    let bus: MemoryBus | undefined;
    const made = () => {
      if (bus === undefined) throw new Error('provision comes first');
      return bus;
    };
    return {
      publisher: { publish: (...args) => made().publish(args[0], args[1]), close: () => made().close() },
      subscriber: {
        pull: (...args) => made().pull(...args),
        acknowledge: (...args) => made().acknowledge(...args),
        release: (...args) => made().release(...args),
        close: () => made().close(),
      },
      provision: async (plan, delivery) => {
        bus = new MemoryBus({ delivery, duplicates: 0.3 });
        bus.provision(plan);
      },
    };
  });

  it('delivers at least once: some twice, and in no order', async () => {
    const seen: string[] = [];
    const push = async (_: string, body: string) => {
      seen.push(JSON.parse(body).message.messageId);
      return 200;
    };
    const bus = new MemoryBus({ push, duplicates: 0.2 });
    bus.provision({
      topics: ['numbers', 'dead-letter.reader'],
      subscriptions: [
        { name: 'reader', topic: 'numbers', push: { endpoint: 'reader', deadLetterTopic: 'dead-letter.reader' } },
      ],
    });
    const ids: string[] = [];
    for (let n = 0; n < 300; n++)
      ids.push(await bus.publish('numbers', { data: Buffer.from(String(n)), attributes: {} }));
    await expect.poll(() => bus.backlog('reader')).toBe(0);

    expect(new Set(seen)).toEqual(new Set(ids));
    expect(seen.length).toBeGreaterThan(ids.length);
    expect(seen).not.toEqual([...seen].sort((a, b) => Number(a) - Number(b)));
    await bus.close();
  });

  // Pub/Sub does, its emulator does not.
  it.each([
    ['an attribute over 1,024 bytes', { data: Buffer.from('x'), attributes: { status: 'é'.repeat(513) } }],
    ['an attribute with a lone surrogate', { data: Buffer.from('x'), attributes: { status: '\ud800' } }],
    ['a key over 256 bytes', { data: Buffer.from('x'), attributes: { ['k'.repeat(257)]: '' } }],
    ['more than 10 MB', { data: Buffer.alloc(10_000_001), attributes: {} }],
    ['nothing at all', { data: Buffer.alloc(0), attributes: {} }],
  ])('refuses a message with %s as invalid', async (_, message) => {
    const bus = new MemoryBus();
    bus.provision({ topics: ['numbers'], subscriptions: [] });
    await expect(bus.publish('numbers', message)).rejects.toMatchObject({ code: 3 });
  });

  it('keeps what it could not dead-letter, as the topic is missing', async () => {
    let refusing = true;
    const delivery = { ...DELIVERY, max_delivery_attempts: 1, minimum_backoff_seconds: 0.01 };
    const bus = new MemoryBus({ delivery, duplicates: 0, push: async () => (refusing ? 500 : 200) });
    bus.provision({
      topics: ['numbers'],
      subscriptions: [{ name: 'reader', topic: 'numbers', push: { endpoint: 'reader', deadLetterTopic: 'gone' } }],
    });
    await bus.publish('numbers', { data: Buffer.from('1'), attributes: {} });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(bus.backlog('reader')).toBe(1);

    refusing = false;
    await expect.poll(() => bus.backlog('reader')).toBe(0);
    await bus.close();
  });
});

describe('the topology of a subscriber of every topic', () => {
  const { topics, subscriptions } = topology('projector', 'http://projector/');

  it('has a topic for each of Heron, unrouted, one for the canary, and its own dead letters and replays', () => {
    expect(topics).toHaveLength(44 + 4);
    expect(topics).toEqual(expect.arrayContaining(['end_user.processed', 'unrouted', 'dead-letter.projector']));
  });

  it('pushes from each topic but the dead letters, which are pulled', () => {
    const pulled = subscriptions.filter(({ push }) => push === undefined);
    expect(pulled).toEqual([{ name: 'dead-letter.projector', topic: 'dead-letter.projector' }]);
    expect(new Set(subscriptions.map(({ topic }) => topic))).toEqual(new Set(topics));
    expect(subscriptions.filter(({ topic }) => topic === 'replay.projector')).toHaveLength(1);
  });
});
