import {
  type CollectionReference,
  type DocumentData,
  type DocumentReference,
  FieldValue,
  type Firestore,
  type FirestoreDataConverter,
  type QueryDocumentSnapshot,
  type Timestamp,
  type UpdateData,
  type WithFieldValue,
} from '@google-cloud/firestore';
import type { EndUser, Keys } from '../events/end-user.ts';
import { CANARY_ID } from '../heron/canary.ts';
import type { Instant } from '../heron/instant.ts';
import type { JsonText } from '../heron/json.ts';
import type { LoggedEvent } from './store.ts';
import { toInstant, toTimestamp } from './timestamp.ts';
import type { StoredTombstone } from './tombstone.ts';
import type { Checkpoint, Readings } from './upkeep.ts';

const EVENTS = 'events';
const END_USERS = 'end_users';

/** An event as its document keeps it. */
export type StoredEvent = LoggedEvent & {
  /** When Firestore's TTL may delete it; null where the log keeps events for ever. */
  readonly expires_at: Instant | null;
  /** Why it has no place of its own; null where it has one. */
  readonly reason: string | null;
};

/** What the document of an end user holds: its state, or after its erasure a tombstone. */
export type Stored =
  | {
      readonly kind: 'state';
      readonly endUser: EndUser;
      readonly changed_at: Instant;
      /** There while a rebuild reads a history whose events keep arriving. */
      readonly rebuilding?: Rebuilding | undefined;
      /** For a moment after this nobody but a rebuild may write the state. */
      readonly held_at?: Timestamp | undefined;
    }
  | { readonly kind: 'forgotten'; readonly tombstone: StoredTombstone };

/** What a rebuild cannot see, as it arrives after the moment of which it reads the log. */
export type Rebuilding = { readonly since: Timestamp; readonly arrived: EndUser | null };

type EventDocument = {
  topic: string | null;
  created: Timestamp | null;
  received_at: Timestamp;
  recorded_at: Timestamp;
  heron_id: string | null;
  end_user_id: string | null;
  status: string | null;
  bytes: number;
  body: Uint8Array | null;
  expires_at?: Timestamp;
  /** What those are found by that have no place of their own; and why. */
  unrouted?: true;
  reason?: string;
};

export type StateDocument = {
  heron_id: string;
  end_user_id: string | null;
  status: string | null;
  status_at: Timestamp | null;
  processed_at: Timestamp | null;
  failed_at: Timestamp | null;
  reviewed_at: Timestamp | null;
  review_required: boolean;
  failing: boolean;
  first_event_at: Timestamp;
  last_event_at: Timestamp;
  last_event: { id: string; topic: string | null; created: Timestamp };
  event_count: number;
  /** As JSON text: as a map Firestore would refuse some keys, and depth over 20. */
  meta: JsonText | null;
  fold: { version: number; keys: Keys };
  /** What changes are watched and listed by. */
  changed_at?: Timestamp;
  rebuilding?: { since: Timestamp; arrived: PlainState | null };
  held_at?: Timestamp;
};

type PlainState = Omit<StateDocument, 'changed_at' | 'rebuilding' | 'held_at'>;

type TombstoneDocument = {
  forgotten: {
    at: Timestamp;
    by: string;
    events: number;
    end_user_ids: readonly string[];
    unfinished?: readonly string[];
  };
};

export type EndUserDocument = StateDocument | TombstoneDocument;

/** What the log says of a body, as the fields of its event's document. */
export function readingFields({
  topic,
  created,
  heron_id,
  end_user_id,
  status,
  reason,
}: Readings): UpdateData<DocumentData> {
  return {
    ...{ topic, created: toTimestamp(created), heron_id, end_user_id, status },
    unrouted: reason === null ? FieldValue.delete() : true,
    reason: reason ?? FieldValue.delete(),
  };
}

type CheckpointDocument = Omit<Checkpoint, 'started_at' | 'saved_at'> & {
  readonly started_at: Timestamp;
  readonly saved_at?: Timestamp;
};

/** Where documents are, as paths. */
export const eventPath = (eventId: string) => `${EVENTS}/${eventId}`;
export const endUserPath = (heronId: string) => `${END_USERS}/${heronId}`;

export function eventDocuments(db: Firestore): CollectionReference<StoredEvent, EventDocument> {
  return db.collection(EVENTS).withConverter(EVENT);
}

export function endUserDocuments(db: Firestore): CollectionReference<Stored, EndUserDocument> {
  return db.collection(END_USERS).withConverter(END_USER);
}

/** As it is stored, whatever that may be: it is what may be wrong. */
export function rawEndUser(db: Firestore, heronId: string): DocumentReference {
  return db.collection(END_USERS).doc(heronId);
}

export function checkpointDocument(db: Firestore): DocumentReference<Checkpoint, CheckpointDocument> {
  return db.collection('upkeep').withConverter(CHECKPOINT).doc('rebuild');
}

export function isForgotten(stored: Stored | StoredEvent | undefined): boolean {
  return stored !== undefined && 'kind' in stored && stored.kind === 'forgotten';
}

/** When a state was written, of a document that holds one. */
export function changedAt(snapshot: QueryDocumentSnapshot<Stored, EndUserDocument>): Timestamp {
  return snapshot.get('changed_at') as Timestamp;
}

/** One of another fold may lack what is read here: it is shown as far as it goes. */
export function endUserOf(document: StateDocument | PlainState): EndUser {
  const { changed_at, rebuilding, held_at, last_event, ...state } = document as StateDocument;
  return {
    ...state,
    fold: state.fold ?? { version: 0, keys: {} },
    status_at: toInstant(state.status_at ?? null),
    processed_at: toInstant(state.processed_at ?? null),
    failed_at: toInstant(state.failed_at ?? null),
    reviewed_at: toInstant(state.reviewed_at ?? null),
    failing: state.failing ?? false,
    first_event_at: toInstant(state.first_event_at ?? null),
    last_event_at: toInstant(state.last_event_at ?? null),
    last_event: last_event && { ...last_event, created: toInstant(last_event.created ?? null) },
  };
}

/** A state as its document holds it, but for when it was written. */
export function stateDocument(endUser: EndUser): PlainState {
  const { status_at, processed_at, failed_at, reviewed_at, first_event_at, last_event_at, last_event, ...state } =
    endUser;
  return {
    ...state,
    status_at: toTimestamp(status_at),
    processed_at: toTimestamp(processed_at),
    failed_at: toTimestamp(failed_at),
    reviewed_at: toTimestamp(reviewed_at),
    first_event_at: toTimestamp(first_event_at),
    last_event_at: toTimestamp(last_event_at),
    last_event: { ...last_event, created: toTimestamp(last_event.created) },
  };
}

/** An event as its document's fields. */
export function eventFields({
  event_id,
  created,
  received_at,
  recorded_at,
  expires_at,
  reason,
  ...event
}: StoredEvent): EventDocument {
  return {
    ...event,
    created: toTimestamp(created),
    received_at: toTimestamp(received_at),
    recorded_at: toTimestamp(recorded_at),
    ...(expires_at === null ? {} : { expires_at: toTimestamp(expires_at) }),
    ...(reason === null ? {} : { unrouted: true as const, reason }),
  };
}

const EVENT: FirestoreDataConverter<StoredEvent, EventDocument> = {
  toFirestore: eventFields,
  fromFirestore(snapshot) {
    const { created, received_at, recorded_at, expires_at, unrouted, reason, ...event } =
      snapshot.data() as EventDocument;
    return {
      ...event,
      event_id: snapshot.id,
      created: toInstant(created),
      received_at: toInstant(received_at),
      recorded_at: toInstant(recorded_at),
      expires_at: toInstant(expires_at ?? null),
      reason: reason ?? null,
    };
  },
};

/** A state, or a tombstone, as its document's fields. */
export function endUserFields(stored: Stored): WithFieldValue<EndUserDocument> {
  if (stored.kind === 'forgotten') {
    const { at, unfinished, ...tombstone } = stored.tombstone;
    return {
      forgotten: { ...tombstone, at: toTimestamp(at), ...(unfinished.length === 0 ? {} : { unfinished }) },
    };
  }
  const { since, arrived } = stored.rebuilding ?? {};
  return {
    ...stateDocument(stored.endUser),
    // The server's own time, by which changes are watched, whatever ours is. What has none is in no list, no count and
    // no watch of changes.
    ...(stored.endUser.heron_id === CANARY_ID ? {} : { changed_at: FieldValue.serverTimestamp() }),
    ...(since && { rebuilding: { since, arrived: arrived ? stateDocument(arrived) : null } }),
  };
}

/** What the document of an end user holds, of its fields. */
export function storedOf(document: EndUserDocument): Stored {
  if ('forgotten' in document) {
    const { at, unfinished = [], ...tombstone } = document.forgotten;
    return { kind: 'forgotten', tombstone: { ...tombstone, at: toInstant(at), unfinished } };
  }
  const { rebuilding, held_at, changed_at = null } = document;
  return {
    kind: 'state',
    endUser: endUserOf(document),
    changed_at: toInstant(changed_at as Timestamp),
    rebuilding: rebuilding && { ...rebuilding, arrived: rebuilding.arrived && endUserOf(rebuilding.arrived) },
    held_at,
  };
}

const END_USER: FirestoreDataConverter<Stored, EndUserDocument> = {
  toFirestore: endUserFields,
  fromFirestore: (snapshot) => storedOf(snapshot.data() as EndUserDocument),
};

const CHECKPOINT: FirestoreDataConverter<Checkpoint, CheckpointDocument> = {
  toFirestore({ started_at, saved_at, ...checkpoint }: Checkpoint) {
    return { ...checkpoint, started_at: toTimestamp(started_at), saved_at: toTimestamp(saved_at) };
  },
  fromFirestore(snapshot) {
    const { started_at, saved_at, ...checkpoint } = snapshot.data() as CheckpointDocument;
    return { ...checkpoint, started_at: toInstant(started_at), saved_at: toInstant(saved_at ?? started_at) };
  },
};
