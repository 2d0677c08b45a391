import { Timestamp } from '@google-cloud/firestore';
import { expect, it } from 'vitest';
import { changesIn } from '../../functions/store/changes.ts';
import { event, foldOf } from './given.ts';

/** As Firestore's client tells of a document that changed at a second. */
function change(type: 'added' | 'modified' | 'removed', heron_id: string, second: number) {
  const changed_at = new Timestamp(second, 0);
  const endUser = foldOf([event({ heron_id })]);
  return { type, doc: { get: () => changed_at, data: () => ({ kind: 'state', endUser }) } };
}

it('what changed between two snapshots is told in the order in which it changed', () => {
  // Firestore's client: additions, then modifications, each in the order of the query.
  const changes = [
    change('added', 'eus_fourth', 40),
    change('added', 'eus_first', 10),
    change('modified', 'eus_third', 30),
    change('modified', 'eus_second', 20),
  ];
  const docs = changes.map(({ doc }) => doc);
  const snapshot = { docs, docChanges: () => changes };
  const changed = changesIn(snapshot as never, 100);
  expect(changed?.map(({ heron_id }) => heron_id)).toEqual(['eus_first', 'eus_second', 'eus_third', 'eus_fourth']);
});

/** What is watched after some changes, of which those that are removed are not. */
function after(changes: readonly ReturnType<typeof change>[], others: readonly ReturnType<typeof change>[] = []) {
  const docs = [...changes.filter(({ type }) => type !== 'removed'), ...others].map(({ doc }) => doc);
  return { docs, docChanges: () => [...changes] } as never;
}

it('where as many change at once as are watched, others may have changed unseen, and nobody can tell which', () => {
  const many = Array.from({ length: 100 }, (_, n) => change('added', `eus_${n}`, 1_000 - n));
  const known = change('modified', 'eus_known', 2_000);
  expect(changesIn(after(many.slice(1), [known]), 100)).toHaveLength(99);
  expect(changesIn(after(many), 100)).toBeNull();
  expect(changesIn(after([known, ...many.slice(1)]), 100)).toBeNull();
});

it('one that newer ones pushed out of what is watched has not changed; one that left by itself was forgotten', () => {
  const watched = Array.from({ length: 99 }, (_, n) => change('added', `eus_${n}`, 1_000 - n));
  const fresh = change('added', 'eus_new', 2_000);
  // The oldest of those that are watched now is of second 902.
  const left = (second: number) => [fresh, change('removed', 'eus_left', second)];
  expect(changesIn(after(left(902), watched), 100)?.map(({ heron_id }) => heron_id)).toEqual(['eus_new']);
  expect(changesIn(after(left(903), watched), 100)).toBeNull();
  expect(changesIn(after(left(1), watched.slice(1)), 100)).toBeNull(); // there is room for it
});
