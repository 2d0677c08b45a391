import type { DocumentReference, Firestore, Timestamp, Transaction } from '@google-cloud/firestore';
import { CODE, codeOf } from '../grpc.ts';
import type { Claim, Once, OnceOutcome } from './subscriber.ts';
import { RetryAfter } from './subscriber.ts';

export type OnceOptions = {
  /** Where the marks stand, one a handled event; `heron_once` unless given. */
  readonly collection?: string;
  /**
   * After how many days a mark may go: its field `expires_at` says when, for a TTL policy on the collection. 90 unless
   * given, as a message may wait a week, and then a month in the dead letters. Later, a copy would be handled again.
   */
  readonly days?: number;
  /** Milliseconds since the epoch; for tests. */
  readonly now?: () => number;
};

const DAY_MS = 86_400_000;
/** How long a claim outlives the time that its handler has: an answer is on its way, and clocks differ. */
const GRACE_MS = 5_000;

type Mark = {
  /** `claimed`, and when its effects are there, `done`. */
  readonly state: 'claimed' | 'done';
  /** Whose claim it is. */
  readonly token: string;
  readonly claimed_until: Date;
  readonly expires_at: Date;
};

type Taken = { readonly kind: 'claimed'; readonly at: Timestamp } | Exclude<OnceOutcome, { readonly kind: 'done' }>;

/**
 * Has each event handled once. A delivery claims it; of two at once one runs, and the other comes again. The handler's
 * `transaction` commits what is written through it together with the mark that it is done: that happens once, whatever
 * dies and whenever. Effects elsewhere happen again where the process dies before the mark is there, or where Firestore
 * has the transaction begun again because of others that write the same documents: they need a key of their own, such as
 * the event's id.
 */
export function once(
  db: Firestore,
  { collection = 'heron_once', days = 90, now = Date.now }: OnceOptions = {},
): Once<{ readonly transaction: Transaction }> {
  return {
    run: async ({ subscriber, eventId, milliseconds }: Claim, handler) => {
      const ref = db.collection(collection).doc(`${subscriber}:${eventId}`);
      const token = crypto.randomUUID();
      const mark = (state: Mark['state']): Mark => ({
        state,
        token,
        claimed_until: new Date(now() + milliseconds + GRACE_MS),
        expires_at: new Date(now() + days * DAY_MS),
      });
      const taken = await take(ref, mark('claimed'), now);
      if (taken.kind !== 'claimed') return taken;

      // Nobody else has touched the mark since, or the commit fails: so that no lock is held while the handler runs.
      const untouched = { lastUpdateTime: taken.at };
      let handled = false;
      try {
        await db.runTransaction(async (transaction) => {
          handled = false;
          await handler({ transaction });
          handled = true;
          transaction.update(ref, mark('done'), untouched);
        });
        return { kind: 'done' };
      } catch (error) {
        // Where the answer to the commit was lost, it may be there all the same.
        const { state, token: holder } = handled ? (((await ref.get()).data() ?? {}) as Partial<Mark>) : {};
        if (state === 'done') return { kind: holder === token ? 'done' : 'seen_before' };
        if (handled && holder !== token)
          throw new RetryAfter(1, 'it took so long that another delivery of it was begun', { cause: error });
        // What cannot be given back is free when the claim is over.
        await ref.delete(untouched).catch(() => {});
        throw error;
      }
    },
  };
}

/** Claims an event where nobody has done so, or no longer. */
async function take(ref: DocumentReference, claim: Mark, now: () => number): Promise<Taken> {
  try {
    return { kind: 'claimed', at: (await ref.create(claim)).writeTime };
  } catch (error) {
    if (codeOf(error) !== CODE.ALREADY_EXISTS) throw error;
  }
  const snapshot = await ref.get();
  const { updateTime } = snapshot;
  // Given back just now.
  if (updateTime === undefined) return { kind: 'busy', seconds: 1 };
  if (snapshot.get('state') === 'done') return { kind: 'seen_before' };
  // Made by a call of ours whose answer was lost.
  if (snapshot.get('token') === claim.token) return { kind: 'claimed', at: updateTime };
  const left = (snapshot.get('claimed_until') as Timestamp).toMillis() - now();
  if (left > 0) return { kind: 'busy', seconds: Math.ceil(left / 1000) };
  try {
    return { kind: 'claimed', at: (await ref.update(claim, { lastUpdateTime: updateTime })).writeTime };
  } catch (error) {
    const code = codeOf(error);
    if (code === CODE.FAILED_PRECONDITION || code === CODE.NOT_FOUND) return { kind: 'busy', seconds: 1 };
    throw error;
  }
}
