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
