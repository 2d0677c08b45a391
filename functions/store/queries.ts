import { FieldPath, type Firestore, type Query } from '@google-cloud/firestore';
import type { Instant } from '../heron/instant.ts';
import { type EndUserCursor, type EndUserFilter, type EventCursor, MAX_SAME_ID } from './store.ts';
import { toTimestamp } from './timestamp.ts';

/**
 * Every query there is, and no other file builds one: a test holds this list against the indexes that Terraform makes,
 * as Firestore indexes nothing here by default.
 */
export const QUERIES = {
  /** An end user's events, newest first. One more than asked for tells whether there is a next page. */
  history(db: Firestore, heronId: string, size: number, after: EventCursor | null): Query {
    const query = db
      .collection('events')
      .where('heron_id', '==', heronId)
      .orderBy('created', 'desc')
      .orderBy(FieldPath.documentId(), 'desc')
      .limit(size + 1);
    return after === null ? query : query.startAfter(toTimestamp(after.created), after.event_id);
  },

  /** The first events of end users behind one and before another. By the index that histories are read by. */
  nextInLog(db: Firestore, after: string, before: string | null): Query {
    const events = db
      .collection('events')
      .orderBy('heron_id')
      .orderBy('created', 'desc')
      .orderBy(FieldPath.documentId(), 'desc')
      .startAfter(after);
    return before === null ? events : events.endBefore(before);
  },

  /** The newest event of the last topic, by name; before a topic, where one is given. */
  latestByTopic(db: Firestore, before: string | null): Query {
    const events = db.collection('events');
    const some = before === null ? events : events.where('topic', '<', before);
    return some.orderBy('topic', 'desc').orderBy('recorded_at', 'desc').limit(1).select('topic', 'recorded_at');
  },

  /** The newest event that has no topic. */
  latestWithoutTopic(db: Firestore): Query {
    const events = db.collection('events').where('topic', '==', null);
    return events.orderBy('recorded_at', 'desc').limit(1).select('topic', 'recorded_at');
  },

  /** A topic's events that were recorded from one time, and before another. */
  ofTopic(db: Firestore, topic: string | null, from: Instant, to: Instant): Query {
    return db
      .collection('events')
      .where('topic', '==', topic)
      .where('recorded_at', '>=', toTimestamp(from))
      .where('recorded_at', '<', toTimestamp(to))
      .orderBy('recorded_at', 'desc');
  },

  /** The bodies' parts of an end user's events, of those too that were never recorded. */
  bodies(db: Firestore, heronId: string): Query {
    return db.collectionGroup('body').where('heron_id', '==', heronId);
  },

  /** End users by the customer's id. */
  withId(db: Firestore, endUserId: string): Query {
    return db.collection('end_users').where('end_user_id', '==', endUserId).limit(MAX_SAME_ID);
  },

  /** Counted in the order in which they are listed, so that one index does for both. */
  listed(db: Firestore, { status, review_required }: EndUserFilter): Query {
    let query: Query = db.collection('end_users');
    if (status !== undefined) query = query.where('status', '==', status);
    if (review_required !== undefined) query = query.where('review_required', '==', review_required);
    return query.orderBy('last_event_at', 'desc');
  },

  /** A page of {@link QUERIES.listed}, and one end user more. */
  listedPage(db: Firestore, filter: EndUserFilter, size: number, after: EndUserCursor | null): Query {
    const query = QUERIES.listed(db, filter)
      .orderBy(FieldPath.documentId(), 'desc')
      .limit(size + 1);
    return after === null ? query : query.startAfter(toTimestamp(after.last_event_at), after.heron_id);
  },

  /** The end users that changed last. */
  changes(db: Firestore, size: number): Query {
    return db.collection('end_users').orderBy('changed_at', 'desc').limit(size);
  },

  /** All end users, by heron_id. */
  behind(db: Firestore, after: string | null): Query {
    const endUsers = db.collection('end_users').orderBy(FieldPath.documentId());
    return after === null ? endUsers : endUsers.startAfter(after);
  },
};
