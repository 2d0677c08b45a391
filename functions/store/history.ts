import type { Firestore, QuerySnapshot, Transaction } from '@google-cloud/firestore';
import { carryOver } from '../events/carry-over.ts';
import { type EndUser, FOLD_VERSION, SLOTS } from '../events/end-user.ts';
import { concernsEndUser, eventOf, type HeronEvent, isEventId } from '../events/event.ts';
import { parseWebhook } from '../heron/webhook.ts';
import { IncompleteBody, readBody } from './bodies.ts';
import { eventDocuments, type StoredEvent } from './documents.ts';
import { QUERIES } from './queries.ts';
import { counts } from './retention.ts';
import { fold } from './store.ts';

const PAGE = 100;

/** A longer history is left to a rebuild: whoever appends to it must not wait. */
const MAX_EVENTS = 200;
const MAX_BYTES = 8_000_000;

/** What the log says of an end user now, beside what its state says. */
export type History = {
  /** Null where it says nothing that makes a state. */
  readonly state: EndUser | null;
  /** How many events it has. */
  readonly events: number;
  /** Events of which a part is lost: they count by what the log says of them, without their meta. */
  readonly damaged: readonly string[];
};

/** The state of an older fold brought up to date with little work: from the log, or where that is long carried over. */
export async function broughtUpToDate(
  db: Firestore,
  transaction: Transaction,
  stored: EndUser,
): Promise<EndUser | null> {
  const { docs } = await transaction.get(QUERIES.history(db, stored.heron_id, MAX_EVENTS + 1, null));
  const bytes = docs.reduce((sum, event) => sum + event.data().bytes, 0);
  if (docs.length > MAX_EVENTS || bytes > MAX_BYTES) return isWhole(stored) ? carryOver(stored, null) : null;
  return (await readHistory(db, transaction, stored.heron_id, stored)).state;
}

/** @param stored what stays where the log has let go of events; null where there is none. */
export async function readHistory(
  db: Firestore,
  transaction: Transaction,
  heronId: string,
  stored: EndUser | null,
): Promise<History> {
  const sought = new Set(stored === null ? [] : decidedBy(stored));
  const damaged: string[] = [];
  let [state, events, expire]: [EndUser | null, number, boolean] = [null, 0, false];
  for (let last: StoredEvent | null = null; ; ) {
    const page: QuerySnapshot<StoredEvent> = await transaction.get(QUERIES.history(db, heronId, PAGE, last));
    for (const event of page.docs.map((snapshot) => snapshot.data())) {
      const read = await reread(db, transaction, event);
      if (read.isWhole) sought.delete(event.event_id);
      else damaged.push(event.event_id);
      if (concernsEndUser(read.event)) state = fold(state, heronId, [read.event], counts(read.event, event));
      expire ||= event.expires_at !== null;
      events++;
      last = event;
    }
    if (page.docs.length < PAGE) break;
  }
  if (stored === null || !isWhole(stored)) return { state, events, damaged };
  const gone = await lost(db, transaction, sought, damaged);
  // Where all that decided the state is in the log, only events that expire can tell that others have gone.
  const hasLetGo = gone.size > 0 || expire || stored.fold.version !== FOLD_VERSION;
  return { state: hasLetGo ? carryOver(stored, state) : state, events, damaged };
}

/** Whether it says enough to be carried over. */
function isWhole({ first_event_at, last_event_at, last_event }: EndUser): boolean {
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
  damaged: readonly string[],
): Promise<ReadonlySet<string>> {
  const elsewhere = [...sought].filter((id) => !damaged.includes(id)).map((id) => eventDocuments(db).doc(id));
  if (elsewhere.length === 0) return sought;
  const found = await transaction.getAll(...elsewhere, { fieldMask: ['bytes'] });
  const there = new Set(found.filter(({ exists }) => exists).map(({ id }) => id));
  return new Set([...sought].filter((id) => !there.has(id)));
}

/** An event from its body; where a part of that is lost, from what the log says of it. */
async function reread(
  db: Firestore,
  transaction: Transaction,
  stored: StoredEvent,
): Promise<{ readonly event: HeronEvent; readonly isWhole: boolean }> {
  const { event_id, received_at, bytes, topic, created, heron_id, end_user_id, status } = stored;
  try {
    const body = stored.body ?? (await readBody(db, event_id, bytes, transaction));
    return { event: { ...eventOf(body, received_at), event_id }, isWhole: true };
  } catch (error) {
    if (!(error instanceof IncompleteBody)) throw error;
    const body = new Uint8Array();
    const said = { ...parseWebhook(body), topic, created, heron_id, end_user_id, status };
    return { event: { ...said, event_id, received_at, body }, isWhole: false };
  }
}
