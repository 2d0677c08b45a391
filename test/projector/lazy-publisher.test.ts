import { expect, it, vi } from 'vitest';
import { lazyPublisher } from '../../functions/projector/lazy-publisher.ts';
import { FakePublisher } from '../ingest/fake-publisher.ts';

const message = { data: Buffer.from('x'), attributes: {} };

it('is made for its first message, and once', async () => {
  const publisher = new FakePublisher();
  const make = vi.fn(async () => publisher);
  const lazy = lazyPublisher(make);
  expect(make).not.toHaveBeenCalled();
  await Promise.all([lazy.publish('a', message, 1_000), lazy.publish('b', message, 1_000)]);
  expect(make).toHaveBeenCalledOnce();
  expect(publisher.published.map(({ topic }) => topic)).toEqual(['a', 'b']);
});

it('resolves only once the message is published', async () => {
  const publisher = new FakePublisher();
  publisher.failure = new Error('down');
  await expect(lazyPublisher(async () => publisher).publish('a', message, 1_000)).rejects.toThrow('down');
});

it('is made anew where that failed', async () => {
  const publisher = new FakePublisher();
  const make = vi.fn(async () => publisher).mockRejectedValueOnce(new Error('no memory'));
  const lazy = lazyPublisher(make);
  await expect(lazy.publish('a', message, 1_000)).rejects.toThrow('no memory');
  await lazy.publish('a', message, 1_000);
  expect(publisher.published).toHaveLength(1);
});

it('closes what it made, and makes nothing to close it', async () => {
  const publisher = new FakePublisher();
  const close = vi.spyOn(publisher, 'close');
  const make = vi.fn(async () => publisher);
  await lazyPublisher(make).close();
  expect(make).not.toHaveBeenCalled();
  const lazy = lazyPublisher(make);
  await lazy.publish('a', message, 1_000);
  await lazy.close();
  expect(close).toHaveBeenCalledOnce();
});
