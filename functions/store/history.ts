import type { Firestore, QuerySnapshot, Transaction } from '@google-cloud/firestore';
import { carryOver } from '../events/carry-over.ts';
import { type EndUser, FOLD_VERSION, SLOTS } from '../events/end-user.ts';
import { concernsEndUser, isEventId, type ReadEvent } from '../events/event.ts';
import { parseWebhook } from '../heron/webhook.ts';
import { pool } from '../pool.ts';
import { IncompleteBody, inLog, type Reader, readBody } from './bodies.ts';
import type { StoredEvent } from './documents.ts';
import { QUERIES } from './queries.ts';
import { counts } from './retention.ts';
import { fold } from './store.ts';

const PAGE = 100;

/** Bodies that are kept apart are up to 10 MB each: so many are in memory at a time. */
const BODIES_AT_ONCE = 3;

/** A longer history is left to a rebuild: whoever appends to it must not wait. */
const MAX_EVENTS = 200;
const MAX_BYTES = 8_000_000;

/** Reads, all of it at one moment. Of a long history no read may take long, each by itself is tried again. */
export type ReadAtOnce = <T>(read: (db: Firestore, transaction: Transaction) => Promise<T>) => Promise<T>;

/** What the log says of an end user, event by event. */
export type Told = {
  /** Null where it says nothing that makes a state. */
  readonly state: EndUser | null;
  /** How many events it has. */
  readonly events: number;
  /** An event of which a part is lost: it counts by what the log says of it, without its meta. */
  readonly damaged: string | null;
  /** Whether some will leave the log, as others may have. */
  readonly expire: boolean;
};

export const NOTHING_TOLD: Told = { state: null, events: 0, damaged: null, expire: false };

/** What the log says of an end user now, beside what its state says. */
export type History = Told & {
  /** All that decided the state is in the log, and none of it is this end user's. */
  readonly isElsewhere: boolean;
};

/** An event as its body is read now, or where a part of that is lost, as the log has it. */
export type Reread = { readonly event: ReadEvent; readonly isWhole: boolean; readonly stored: StoredEvent };

/** @param event of those that the log has for the end user; it may be another's, now that it is read again. */
export function tell(told: Told, heronId: string, { event, stored, isWhole }: Reread): Told {
  if (event.heron_id !== heronId) return told;
  return {
    state: concernsEndUser(event) ? fold(told.state, heronId, [event], counts(event, stored)) : told.state,
    events: told.events + 1,
    damaged: told.damaged ?? (isWhole ? null : event.event_id),
    expire: told.expire || stored.expires_at !== null,
  };
}

/** The state of an older fold brought up to date with little work: from the log, or where that is long carried over. */
export async function broughtUpToDate(
  db: Firestore,
  transaction: Transaction,
  stored: EndUser,
): Promise<EndUser | null> {
  const { docs } = await transaction.get(QUERIES.history(db, stored.heron_id, MAX_EVENTS + 1, null));
  const bytes = docs.reduce((sum, event) => sum + event.data().bytes, 0);
  if (docs.length > MAX_EVENTS || bytes > MAX_BYTES) return isWhole(stored) ? carryOver(stored, null) : null;
  return (await readHistory((read) => read(db, transaction), stored.heron_id, stored)).state;
}

/** @param stored what stays where the log has let go of events; null where there is none. */
export async function readHistory(
  read: ReadAtOnce,
  heronId: string,
  stored: EndUser | null,
  bodiesAtOnce = BODIES_AT_ONCE,
): Promise<History> {
  const sought = new Set(stored === null ? [] : decidedBy(stored));
  const isNamed = sought.size > 0;
  const damaged = new Set<string>();
  let told = NOTHING_TOLD;
  for (let last: StoredEvent | null = null; ; ) {
    const events: readonly StoredEvent[] = await read(async (db, transaction) => {
      const page: QuerySnapshot<StoredEvent> = await transaction.get(QUERIES.history(db, heronId, PAGE, last));
      return page.docs.map((snapshot) => snapshot.data());
    });
    for (const each of await rereadAll(events, read, bodiesAtOnce)) {
      const { event_id } = each.event;
      if (each.isWhole) sought.delete(event_id);
      else if (sought.has(event_id)) damaged.add(event_id);
      told = tell(told, heronId, each);
    }
    last = events.at(-1) ?? null;
    if (events.length < PAGE) break;
  }
  if (stored === null || !isWhole(stored)) return { ...told, isElsewhere: false };
  const gone = await read((db, transaction) => lost(db, transaction, sought, damaged));
  // Where all that decided the state is in the log, only events that expire can tell that others have gone.
  const hasLetGo = gone.size > 0 || told.expire || stored.fold.version !== FOLD_VERSION;
  return {
    ...told,
    state: hasLetGo ? carryOver(stored, told.state) : told.state,
    isElsewhere: told.events === 0 && isNamed && !hasLetGo,
  };
}

/** Whether it says enough to be carried over. */
export function isWhole({ first_event_at, last_event_at, last_event }: EndUser): boolean {
  return Boolean(first_event_at && last_event_at && last_event?.created);
}

/** The events that decided a state, as far as it names them. */
function decidedBy({ fold: { keys } }: EndUser): readonly string[] {
  const ids = SLOTS.map((slot) => String(keys?.[slot] ?? '').split('|')[2] ?? '');
  return [...new Set(ids.filter(isEventId))];
}

/** Which of the events that decided a state nobody can read any more; some may now be another end user's. */
async function lost(
  db: Firestore,
  transaction: Transaction,
  sought: ReadonlySet<string>,
  damaged: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  return sought.difference(await inLog(db, transaction, sought.difference(damaged)));
}

/** Reads the bodies of events again. Only a few of those that are kept apart are in memory at a time. */
export function rereadAll(
  events: readonly StoredEvent[],
  read: ReadBody,
  bodiesAtOnce = BODIES_AT_ONCE,
): Promise<readonly Reread[]> {
  return pool(events, bodiesAtOnce, (event) => reread(event, read));
}

type ReadBody = <T>(read: (db: Firestore, reader: Reader) => Promise<T>) => Promise<T>;

async function reread(stored: StoredEvent, read: ReadBody): Promise<Reread> {
  const { event_id, received_at, bytes, topic, created, heron_id, end_user_id, status } = stored;
  try {
    const body = stored.body ?? (await read((db, reader) => readBody(db, event_id, bytes, reader)));
    return { event: { ...parseWebhook(body), event_id, received_at }, isWhole: true, stored };
  } catch (error) {
    if (!(error instanceof IncompleteBody)) throw error;
    const said = { ...parseWebhook(new Uint8Array()), topic, created, heron_id, end_user_id, status };
    return { event: { ...said, event_id, received_at }, isWhole: false, stored };
  }
}
