import type { EndUser } from '../../functions/events/end-user.ts';
import type { Instant } from '../../functions/heron/instant.ts';
import type { JsonText } from '../../functions/heron/json.ts';

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
const EPOCH = '2026-03-01T10:00';

/** `2026-03-01T10:00:01.000002` */
export function civil(micros: number): string {
  const second = String(Math.floor(micros / 1_000_000)).padStart(2, '0');
  return `${EPOCH}:${second}.${String(micros % 1_000_000).padStart(6, '0')}`;
}

export type State = Omit<EndUser, 'fold'>;
type Event = Facts & { readonly id: string };
type Placed = Event & {
  readonly heron_id: string;
  readonly micros: number;
  readonly own: boolean;
  readonly carried: string | null;
};

const MEANT: ReadonlyMap<string | null, string> = new Map([
  ['end_user.created', 'new'],
  ['end_user.processed', 'processed'],
  ['end_user.reviewed', 'reviewed'],
  ['end_user.failed', 'failed'],
]);
const STEPS: readonly (string | null)[] = ['new', 'ready', null, 'processed', 'failed', 'review_requested', 'reviewed'];

/** The states of all end users as the design defines them, each from the set of its events at once. */
export function statesOf(events: readonly Event[]): ReadonlyMap<string, State> {
  const placed = events.flatMap((event): Placed[] => {
    const { heron_id, micros, topic, status } = event;
    if (heron_id === null || micros === null) return [];
    const own = topic?.startsWith('end_user.') ?? false;
    return [{ ...event, heron_id, micros, own, carried: own ? (status ?? MEANT.get(topic) ?? null) : null }];
  });
  const states = new Map<string, State>();
  for (const [heronId, own] of Map.groupBy(placed, ({ heron_id }) => heron_id))
    states.set(heronId, stateOf(heronId, own.sort(inOrder)));
  return states;
}

function inOrder(a: Placed, b: Placed): number {
  return a.micros - b.micros || rank(a) - rank(b) || (a.id < b.id ? -1 : 1);
}

function rank({ topic, carried }: Placed): number {
  const step = STEPS.indexOf(topic === 'end_user.review_required' ? 'review_requested' : carried);
  return step === -1 ? STEPS.indexOf(null) : step;
}

/** @param events in order, at least one. */
function stateOf(heronId: string, events: readonly Placed[]): State {
  const [first, last] = [events[0], events.at(-1)] as [Placed, Placed];
  const instant = (event: Placed | undefined) => event && (`${civil(event.micros)}Z` as Instant);
  const latest = (is: (event: Placed) => boolean) => events.findLastIndex(is);
  const tells = (statuses: readonly string[]) =>
    latest(({ topic, carried }) => statuses.some((each) => carried === each || MEANT.get(topic) === each));

  const statuses = events.flatMap(({ carried }) => carried ?? []);
  const status = statuses.findLast((each) => each !== 'new') ?? statuses.at(-1) ?? null;
  const means = (meant: string) => latest(({ topic }) => MEANT.get(topic) === meant);
  const another = latest(({ carried }) => carried !== null && carried !== 'new' && carried !== status);
  const meant = status === null ? -1 : means(status);
  const since = meant > another ? meant : latest(({ carried }) => carried !== null && carried === status);
  const asked = latest(({ topic, carried }) => topic === 'end_user.review_required' || carried === 'review_requested');
  const named = events.filter(({ end_user_id }) => end_user_id !== null);
  const meta = events.findLast((event) => event.own && event.meta !== null)?.meta;
  return {
    heron_id: heronId,
    end_user_id: (named.findLast(({ own }) => own) ?? named.at(-1))?.end_user_id ?? null,
    status,
    status_at: instant(events[since]) ?? null,
    processed_at: instant(events[means('processed')]) ?? null,
    failed_at: instant(events[means('failed')]) ?? null,
    reviewed_at: instant(events[means('reviewed')]) ?? null,
    review_required: asked > tells(['reviewed']),
    failing: tells(['failed']) > tells(['processed', 'reviewed']),
    first_event_at: instant(first) as Instant,
    last_event_at: instant(last) as Instant,
    last_event: { id: last.id, topic: last.topic, created: instant(last) as Instant },
    event_count: events.length,
    meta: meta ? (JSON.stringify(meta) as JsonText) : null,
  };
}
