import type { DocumentData, DocumentSnapshot, Firestore, Query, Timestamp } from '@google-cloud/firestore';
import { carryOver } from '../events/carry-over.ts';
import { FOLD_VERSION } from '../events/end-user.ts';
import { isEventId } from '../events/event.ts';
import { inLog } from './bodies.ts';
import { differencesFrom } from './differences.ts';
import { endUserOf, rawEndUser, type StateDocument, type StoredEvent } from './documents.ts';
import { isWhole, NOTHING_TOLD, type Reread, rereadAll, type Told, tell } from './history.ts';
import { QUERIES } from './queries.ts';
import { type EventCounts, type LogPlace, misreadIn, type Stretch, type Surveyed } from './upkeep.ts';

/** Events, and end users, that are read at a time. */
const PAGE = 500;

/** Reads, tried again where that may help. */
export type ReadAgain = <T>(read: (db: Firestore) => Promise<T>) => Promise<T>;

/** Which part of log and states is gone through. */
export type Range = {
  readonly after: LogPlace | null;
  readonly log: (db: Firestore, after: LogPlace | null) => Query<StoredEvent>;
  /** As they are stored, whatever that may be: a page of those behind one and up to another. */
  readonly states: (db: Firestore, after: string | null, last: string | null) => Promise<readonly DocumentSnapshot[]>;
};

export function everything(after: LogPlace | null): Range {
  return {
    after,
    log: QUERIES.log,
    states: async (db, from, last) =>
      (await QUERIES.behind(db, from, last).withConverter(null).limit(PAGE).get()).docs as DocumentSnapshot[],
  };
}

export function allOf(heronId: string): Range {
  return {
    after: null,
    log: (db, after) => QUERIES.history(db, heronId, PAGE, after?.event ?? null),
    states: async (db) => [await rawEndUser(db, heronId).get()].filter(({ exists }) => exists),
  };
}

/** The events of an end user, so far. */
type Group = {
  readonly heronId: string;
  readonly told: Told;
  /** When the first of them was read. */
  readonly since: Timestamp;
  /** Of one of them the log says something else than its body does. */
  readonly isMisread: boolean;
  readonly counts: EventCounts;
};

const NO_EVENTS: EventCounts = { events: 0, untimed: 0, damaged: 0 };

/**
 * Goes once through the log, page by page, and through the states of the end users whose events a page has completed.
 * The states are read after the events: one that has not been written since its first event was read is of the same
 * moment as all of them, as what counts is written together with the state.
 */
export async function* survey(read: ReadAgain, { after, log, states }: Range): AsyncGenerator<Stretch> {
  const fetch = (from: LogPlace | null) => {
    const page = read((db) => log(db, from).limit(PAGE).get());
    page.catch(() => {}); // whoever awaits it is told
    return page;
  };
  let [place, page] = [after, fetch(after)];
  let group = null as Group | null;
  for (let isLast = false; !isLast; ) {
    const { docs, readTime } = await page;
    const events = docs.map((event) => event.data());
    const last = events.at(-1);
    isLast = last === undefined || events.length < PAGE;
    if (last !== undefined && !isLast) page = fetch(placeOf(last));

    const reread = await rereadAll(events, (once) => read((db) => once(db, db)));
    const misread = reread.flatMap(({ event, stored, isWhole }) => (isWhole && misreadIn(event, stored)) || []);
    const wrong = new Set(misread.map(({ event }) => event));
    const complete: Group[] = [];
    let ofNobody = NO_EVENTS;
    for (const each of reread) {
      const { heron_id } = each.stored;
      if (heron_id === null) {
        ofNobody = sum(ofNobody, countsOf(each));
        place = placeOf(each.stored);
        continue;
      }
      if (group !== null && group.heronId !== heron_id) complete.push(group);
      if (group?.heronId !== heron_id)
        group = { heronId: heron_id, told: NOTHING_TOLD, since: readTime, isMisread: false, counts: NO_EVENTS };
      group = {
        ...group,
        told: tell(group.told, heron_id, each),
        isMisread: group.isMisread || wrong.has(each.event),
        counts: sum(group.counts, countsOf(each)),
      };
    }
    if (isLast && group !== null) complete.push(group);

    const through = isLast ? null : (complete.at(-1)?.heronId ?? null);
    let seen = { read: events.length, counts: ofNobody, misread };
    if (through === null && !isLast) {
      yield { ...seen, endUsers: [], place };
      continue;
    }
    for (let from = place?.heron_id ?? null, more = true; more; ) {
      const found = await read((db) => states(db, from, through));
      more = found.length === PAGE;
      const to = more ? (found.at(-1)?.id ?? null) : through;
      const isIn = ({ heronId }: Group) => (from === null || heronId > from) && (to === null || heronId <= to);
      const groups = complete.filter(isIn);
      const endUsers = await surveyed(read, groups, new Map(found.map((each) => [each.id, each])));
      place = to === null ? null : { heron_id: to, event: null };
      yield { ...seen, counts: sum(seen.counts, ...groups.map(({ counts }) => counts)), endUsers, place };
      seen = { read: 0, counts: NO_EVENTS, misread: [] };
      from = to;
    }
  }
}

function countsOf({ event, isWhole }: Reread): EventCounts {
  const isUntimed = event.heron_id !== null && event.created === null;
  return { events: 1, untimed: isUntimed ? 1 : 0, damaged: isWhole ? 0 : 1 };
}

function sum(...counts: readonly EventCounts[]): EventCounts {
  return counts.reduce((a, b) => ({
    events: a.events + b.events,
    untimed: a.untimed + b.untimed,
    damaged: a.damaged + b.damaged,
  }));
}

/** Of end users in the order of their ids: those that have events, and those that have a state or a tombstone. */
async function surveyed(
  read: ReadAgain,
  groups: readonly Group[],
  documents: ReadonlyMap<string, DocumentSnapshot>,
): Promise<readonly Surveyed[]> {
  const byId = new Map(groups.map((group) => [group.heronId, group]));
  const moved = await withEventsElsewhere(
    read,
    [...documents.values()].filter(({ id }) => !byId.has(id)),
  );
  return [...new Set([...byId.keys(), ...documents.keys()])].sort().map((heron_id) => {
    const [group, document] = [byId.get(heron_id), documents.get(heron_id)];
    const stored = document?.data();
    if (stored?.forgotten !== undefined) return { heron_id, outcome: 'forgotten' };
    if (Number(stored?.fold?.version) > FOLD_VERSION) return { heron_id, outcome: 'newer' };
    if (group === undefined) return { heron_id, outcome: moved.has(heron_id) ? 'suspect' : 'without_events' };
    if (group.isMisread || group.told.damaged !== null) return { heron_id, outcome: 'suspect' };
    if (stored === undefined) return { heron_id, outcome: group.told.state === null ? 'untimed' : 'suspect' };
    const isOfOneMoment = String(document?.updateTime?.valueOf()) <= group.since.valueOf();
    return { heron_id, outcome: isOfOneMoment && isRight(group, stored) ? 'right' : 'suspect' };
  });
}

/** Where the log lets go of events, the state is what it was, where they decided it. */
function isRight({ told: { state, expire } }: Group, stored: DocumentData): boolean {
  if (state === null) return false;
  if (differencesFrom(stored, state).length === 0) return true;
  const known = endUserOf(stored as StateDocument);
  if (!expire || known.fold.version !== FOLD_VERSION || !isWhole(known)) return false;
  return differencesFrom(stored, carryOver(known, state)).length === 0;
}

/** Whose last event the log has, but not as theirs: it has moved to another end user. */
async function withEventsElsewhere(read: ReadAgain, states: readonly DocumentSnapshot[]): Promise<ReadonlySet<string>> {
  const last = states.flatMap((state) => {
    const event = String(state.get('last_event.id'));
    return isEventId(event) ? [[state.id, event] as const] : [];
  });
  if (last.length === 0) return new Set();
  const events = last.map(([, event]) => event);
  const there = await read((db) => inLog(db, db, events));
  return new Set(last.filter(([, event]) => there.has(event)).map(([id]) => id));
}

function placeOf({ heron_id, created, event_id }: StoredEvent): LogPlace {
  return { heron_id, event: { created, event_id } };
}
