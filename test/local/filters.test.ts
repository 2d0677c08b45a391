import { afterEach, describe, expect, it } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { MemoryBus } from '../../functions/bus/memory.ts';
import { provision } from '../../functions/bus/provision.ts';
import { appliesFilters, FILTER_PROBE, filterNotes } from '../../functions/local/filters.ts';
import { hasPubSub, newProject } from '../emulators.ts';

describe('whether filters are applied', () => {
  const buses: MemoryBus[] = [];
  afterEach(async () => {
    for (const bus of buses.splice(0)) await bus.close();
  });
  /** A Pub/Sub that holds back what some subscriptions may not have. */
  const holding = (names: readonly string[]) => {
    const bus = new MemoryBus();
    buses.push(bus);
    bus.provision(FILTER_PROBE);
    const pull: MemoryBus['pull'] = async (name, max) => (names.includes(name) ? [] : bus.pull(name, max));
    const acknowledge: MemoryBus['acknowledge'] = (name, ids) => bus.acknowledge(name, ids);
    return [bus, { pull, acknowledge, release: async () => {}, close: async () => {} }] as const;
  };

  it('is known by a message that a filter excludes', async () => {
    expect(await appliesFilters(...holding([]))).toBe(false);
    expect(await appliesFilters(...holding(['filter-probe.others']))).toBe(true);
  });

  it('is not known where messages do not come at all', async () => {
    await expect(appliesFilters(...holding(['filter-probe.all', 'filter-probe.others']))).rejects.toThrow(
      /did not come/,
    );
  });

  it('is told of those who have one', () => {
    const [plain, choosy] = [
      { name: 'plain', url: 'http://x/', topics: [] },
      { name: 'choosy', url: 'http://x/', topics: [], filter: 'attributes.x = "y"' },
    ];
    expect(filterNotes([plain], 'It', false)).toEqual([]);
    expect(filterNotes([plain, choosy], 'It', false)).toEqual([
      expect.stringMatching(/^choosy may get .*: It applies no filters\./),
    ]);
    expect(filterNotes([choosy], 'It', null)).toEqual([expect.stringMatching(/not known whether It applies filters/)]);
    expect(filterNotes([choosy], 'It', true)).toEqual(['choosy gets what its filter takes: It applies filters.']);
  });
});

describe.skipIf(!hasPubSub)('a filter on the emulator', () => {
  const config = { projectId: newProject(), topicPrefix: '' };
  const publisher = new GooglePublisher(config);
  const subscriber = new GoogleSubscriber(config);
  afterEach(async () => {
    await publisher.close();
    await subscriber.close();
  });

  it('is kept with what waits behind it while it is the same, and another one makes the subscription anew', async () => {
    const topology = (filter?: string) => ({
      topics: ['topic'],
      subscriptions: [{ name: 'reader', topic: 'topic', ...(filter !== undefined && { filter }) }],
    });
    const publish = (n: number) =>
      publisher.publish('topic', { data: Buffer.from(`${n}`), attributes: { x: 'y' } }, 30_000);
    const waiting = async () => {
      const pulled = await subscriber.pull('reader', 10);
      await subscriber.release(
        'reader',
        pulled.map(({ ackId }) => ackId),
      );
      return pulled.map(({ message }) => Buffer.from(message.data).toString()).sort();
    };
    await provision(config, topology('attributes.x = "y"'));
    await publish(1);
    await provision(config, topology('attributes.x = "y"'));
    expect(await waiting()).toEqual(['1']);
    await provision(config, topology());
    await publish(2);
    expect(await waiting()).toEqual(['2']);
    await provision(config, topology());
    expect(await waiting()).toEqual(['2']);
  });
});
