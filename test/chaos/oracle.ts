import type { EndUser } from '../../functions/events/end-user.ts';
import type { Instant } from '../../functions/heron/instant.ts';

/** What a webhook says, known from how it was made and not from reading it. */
export type Facts = {
  readonly topic: string | null;
  /** Microseconds since {@link EPOCH}; null where `created` is no time. */
  readonly micros: number | null;
  readonly heron_id: string | null;
  readonly end_user_id: string | null;
  readonly status: string | null;
  readonly meta: { readonly [key: string]: string } | null;
};

/** The webhooks of a run are made in the minute after this. */
export const EPOCH = '2026-03-01T10:00';

/** `2026-03-01T10:00:01.000002` */
export function civil(micros: number): string {
  const second = String(Math.floor(micros / 1_000_000)).padStart(2, '0');
  return `${EPOCH}:${second}.${String(micros % 1_000_000).padStart(6, '0')}`;
}

export type State = Omit<EndUser, 'fold'>;
type Event = Facts & { readonly id: string };
type Placed = Event & { readonly heron_id: string; readonly micros: number; readonly carried: string | null };

const IMPLIED: ReadonlyMap<string | null, string> = new Map([
  ['end_user.created', 'new'],
  ['end_user.processed', 'processed'],
  ['end_user.reviewed', 'reviewed'],
  ['end_user.failed', 'failed'],
]);
const STEPS: readonly (string | null)[] = ['new', 'ready', null, 'review_requested', 'processed', 'failed', 'reviewed'];

/** The states of all end users as the design defines them, each from the set of its events at once. */
export function statesOf(events: readonly Event[]): ReadonlyMap<string, State> {
  const placed = events.flatMap((event): Placed[] => {
    const { heron_id, micros, topic, status } = event;
    if (heron_id === null || micros === null) return [];
    return [{ ...event, heron_id, micros, carried: status ?? IMPLIED.get(topic) ?? null }];
  });
  const states = new Map<string, State>();
  for (const [heronId, own] of Map.groupBy(placed, ({ heron_id }) => heron_id))
    states.set(heronId, stateOf(heronId, own.sort(inOrder)));
  return states;
}

function inOrder(a: Placed, b: Placed): number {
  return a.micros - b.micros || rank(a.carried) - rank(b.carried) || (a.id < b.id ? -1 : 1);
}

function rank(status: string | null): number {
  const step = STEPS.indexOf(status);
  return step === -1 ? STEPS.indexOf(null) : step;
}

/** @param events in order, at least one. */
function stateOf(heronId: string, events: readonly Placed[]): State {
  const [first, last] = [events[0], events.at(-1)] as [Placed, Placed];
  const decides = events.findLast(({ topic, carried }) => topic?.startsWith('end_user.') && carried !== null);
  const asked = events.findLastIndex(({ topic }) => topic === 'end_user.review_required');
  const reviewed = events.findLastIndex(({ topic }) => topic === 'end_user.reviewed');
  const instant = (micros: number) => `${civil(micros)}Z` as Instant;
  return {
    heron_id: heronId,
    end_user_id: events.findLast(({ end_user_id }) => end_user_id !== null)?.end_user_id ?? null,
    status: decides?.carried ?? null,
    status_at: decides === undefined ? null : instant(decides.micros),
    review_required: asked > reviewed,
    first_event_at: instant(first.micros),
    last_event_at: instant(last.micros),
    last_event: { id: last.id, topic: last.topic, created: instant(last.micros) },
    event_count: events.length,
    meta: events.findLast(({ meta }) => meta !== null)?.meta ?? null,
  };
}
