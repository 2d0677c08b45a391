import { Firestore } from '@google-cloud/firestore';
import { clock } from '../../functions/clock.ts';
import { eventId, eventOf } from '../../functions/events/event.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { persistently } from '../store/given.ts';
import type { State } from './oracle.ts';

const AT_ONCE = 20;

/** What the run itself reads in Firestore, past the proxies. */
export class Records {
  readonly #db: Firestore;
  readonly #store: FirestoreStore;

  constructor(projectId: string) {
    this.#db = new Firestore({ projectId });
    this.#store = new FirestoreStore({ projectId, databaseId: '(default)' }, clock);
  }

  /** The emulator takes seconds for its first transaction. In a project of its own, which it keeps apart. */
  static async warmUp(): Promise<void> {
    const store = new FirestoreStore({ projectId: 'heron-warm-up', databaseId: '(default)' }, clock);
    await persistently(() => store.append([eventOf(Buffer.from('{}'), instantOf(0))]));
    await store.close();
  }

  async ids(collection: 'events' | 'end_users'): Promise<readonly string[]> {
    return (await this.#db.collection(collection).select().get()).docs.map(({ id }) => id);
  }

  /** The paths of all that is left of an end user, but its tombstone; and that itself where it is missing. */
  async remains(heronId: string): Promise<readonly string[]> {
    const groups = ['events', 'body'].map((group) =>
      this.#db.collectionGroup(group).where('heron_id', '==', heronId).select().get(),
    );
    const left = (await Promise.all(groups)).flatMap(({ docs }) => docs.map(({ ref }) => ref.path));
    const stands = (await this.#db.doc(`end_users/${heronId}`).get()).get('forgotten') !== undefined;
    return stands ? left : [...left, 'no tombstone'];
  }

  /** What the log has under each id: the id that its bytes would have. */
  async log(): Promise<ReadonlyMap<string, string>> {
    const bytes = await each(await this.ids('events'), (id) => this.#store.body(id));
    return new Map([...bytes].map(([id, body]) => [id, body === null ? 'nothing' : eventId(body)]));
  }

  async states(): Promise<ReadonlyMap<string, State>> {
    const states = await each(await this.ids('end_users'), (id) => this.#store.endUser(id));
    return new Map([...states].flatMap(([id, endUser]) => (endUser === null ? [] : [[id, visible(endUser)]])));
  }

  async close(): Promise<void> {
    await Promise.all([this.#db.terminate(), this.#store.close()]);
  }
}

/** The state without what it keeps for the next event. */
function visible({ fold: _, ...state }: State & { fold: unknown }): State {
  return state;
}

/** Not all at once: bodies are up to megabytes each. */
async function each<T>(ids: readonly string[], read: (id: string) => Promise<T>): Promise<ReadonlyMap<string, T>> {
  const results = new Map<string, T>();
  const waiting = [...ids];
  const work = async () => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) results.set(id, await read(id));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}
