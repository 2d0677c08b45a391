import { FieldPath, type Firestore, type Query } from '@google-cloud/firestore';
import type { Instant } from '../heron/instant.ts';
import { endUserDocuments, eventDocuments, type Stored, type StoredEvent } from './documents.ts';
import { type EndUserCursor, type EndUserFilter, type EventCursor, type LogCursor, MAX_SENT_AT } from './store.ts';
import { toTimestamp } from './timestamp.ts';
import type { LogPlace } from './upkeep.ts';

/** As the documents have it: a status may be null. */
export type StoredFilter = Omit<EndUserFilter, 'status'> & { readonly status?: string | null };

/**
 * Every query there is, and no other file builds one: a test holds this list against the indexes that Terraform makes,
 * as Firestore indexes nothing here by default.
 */
export const QUERIES = {
  /** An end user's events, newest first. */
  history(db: Firestore, heronId: string, limit: number, after: EventCursor | null): Query<StoredEvent> {
    const query = eventDocuments(db)
      .where('heron_id', '==', heronId)
      .orderBy('created', 'desc')
      .orderBy(FieldPath.documentId(), 'desc')
      .limit(limit);
    return after === null ? query : query.startAfter(toTimestamp(after.created), after.event_id);
  },

  /** The events of an end user, or of none, that were sent at one moment. By the index that histories are read by. */
  sentAt(db: Firestore, heronId: string | null, created: Instant): Query<StoredEvent> {
    return eventDocuments(db)
      .where('heron_id', '==', heronId)
      .where('created', '==', toTimestamp(created))
      .orderBy(FieldPath.documentId(), 'desc')
      .limit(MAX_SENT_AT);
  },

  /** All of the log behind a place, end user by end user. By the index that histories are read by. */
  log(db: Firestore, after: LogPlace | null): Query<StoredEvent> {
    const events = eventDocuments(db)
      .orderBy('heron_id')
      .orderBy('created', 'desc')
      .orderBy(FieldPath.documentId(), 'desc');
    if (after === null) return events;
    const { heron_id, event } = after;
    return event === null
      ? events.startAfter(heron_id)
      : events.startAfter(heron_id, toTimestamp(event.created), event.event_id);
  },

  /** The newest event of the last topic, by name, from one on and before another, where those are given. */
  latestByTopic(db: Firestore, from: string | null, before: string | null): Query<StoredEvent> {
    let events: Query<StoredEvent> = eventDocuments(db);
    if (from !== null) events = events.where('topic', '>=', from);
    if (before !== null) events = events.where('topic', '<', before);
    return events.orderBy('topic', 'desc').orderBy('recorded_at', 'desc').limit(1);
  },

  /** The newest event that has no topic. */
  latestWithoutTopic(db: Firestore): Query<StoredEvent> {
    return eventDocuments(db).where('topic', '==', null).orderBy('recorded_at', 'desc').limit(1);
  },

  /** A topic's events that were recorded from one time, and before another. */
  ofTopic(db: Firestore, topic: string | null, from: Instant, to: Instant): Query<StoredEvent> {
    return eventDocuments(db)
      .where('topic', '==', topic)
      .where('recorded_at', '>=', toTimestamp(from))
      .where('recorded_at', '<', toTimestamp(to))
      .orderBy('recorded_at', 'desc');
  },

  /** The bodies' parts of an end user's events, of those too that were never recorded. */
  bodies(db: Firestore, heronId: string): Query {
    return db.collectionGroup('body').where('heron_id', '==', heronId);
  },

  /** Those of events that name no heron_id, but a customer's id. */
  bodiesNaming(db: Firestore, endUserId: string): Query {
    return db.collectionGroup('body').where('end_user_id', '==', endUserId);
  },

  /** The events that name no heron_id, but a customer's id. */
  naming(db: Firestore, endUserId: string, limit: number): Query<StoredEvent> {
    return eventDocuments(db).where('heron_id', '==', null).where('end_user_id', '==', endUserId).limit(limit);
  },

  /** Forgotten end users whose events named a customer's id, by its hash. One tells that there are some. */
  tombstonesNaming(db: Firestore, hash: string): Query<Stored> {
    return endUserDocuments(db).where('forgotten.end_user_ids', 'array-contains', hash).limit(1);
  },

  /** End users by the customer's id, in the order of their own. */
  withId(db: Firestore, endUserId: string, limit: number, after: string | null): Query<Stored> {
    const query = endUserDocuments(db)
      .where('end_user_id', '==', endUserId)
      .orderBy(FieldPath.documentId())
      .limit(limit);
    return after === null ? query : query.startAfter(after);
  },

  /** Counted in the order in which they are listed, so that one index does for both. */
  listed(db: Firestore, { status, review_required, failing }: StoredFilter): Query<Stored> {
    let query: Query<Stored> = endUserDocuments(db);
    if (status !== undefined) query = query.where('status', '==', status);
    if (review_required !== undefined) query = query.where('review_required', '==', review_required);
    if (failing !== undefined) query = query.where('failing', '==', failing);
    return query.orderBy('changed_at', 'desc');
  },

  /** A page of {@link QUERIES.listed}. */
  listedPage(db: Firestore, filter: StoredFilter, limit: number, after: EndUserCursor | null): Query<Stored> {
    const query = QUERIES.listed(db, filter).orderBy(FieldPath.documentId(), 'desc').limit(limit);
    return after === null ? query : query.startAfter(toTimestamp(after.changed_at), after.heron_id);
  },

  /** An end user of the next status, by name, that there is. */
  nextStatus(db: Firestore, after: string): Query<Stored> {
    return endUserDocuments(db).where('status', '>', after).orderBy('status').orderBy('changed_at', 'desc').limit(1);
  },

  /** A topic's events, newest recorded first. */
  newestOfTopic(db: Firestore, topic: string, limit: number, after: LogCursor | null): Query<StoredEvent> {
    const query = eventDocuments(db)
      .where('topic', '==', topic)
      .orderBy('recorded_at', 'desc')
      .orderBy(FieldPath.documentId(), 'desc')
      .limit(limit);
    return after === null ? query : query.startAfter(toTimestamp(after.recorded_at), after.event_id);
  },

  /** Events without a place of their own, newest recorded first. */
  newestUnrouted(db: Firestore, limit: number, after: LogCursor | null): Query<StoredEvent> {
    const query = eventDocuments(db)
      .where('unrouted', '==', true)
      .orderBy('recorded_at', 'desc')
      .orderBy(FieldPath.documentId(), 'desc')
      .limit(limit);
    return after === null ? query : query.startAfter(toTimestamp(after.recorded_at), after.event_id);
  },

  /** Events without a place of their own that were recorded from a time on. */
  unroutedFrom(db: Firestore, from: Instant): Query<StoredEvent> {
    return eventDocuments(db)
      .where('unrouted', '==', true)
      .where('recorded_at', '>=', toTimestamp(from))
      .orderBy('recorded_at', 'desc');
  },

  /** The end users that changed last. */
  changes(db: Firestore, limit: number): Query<Stored> {
    return endUserDocuments(db).orderBy('changed_at', 'desc').limit(limit);
  },

  /** End users behind one and up to another, by heron_id. */
  behind(db: Firestore, after: string | null, last: string | null): Query<Stored> {
    const all = endUserDocuments(db).orderBy(FieldPath.documentId());
    const some = after === null ? all : all.startAfter(after);
    return last === null ? some : some.endAt(last);
  },
};
