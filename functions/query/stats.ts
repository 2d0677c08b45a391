import type { Clock } from '../clock.ts';
import { instantOf, rfc3339 } from '../heron/instant.ts';
import { STATUSES, type Status } from '../heron/status.ts';
import { isHeronTopic } from '../heron/topics.ts';
import { pool } from '../pool.ts';
import type { Store, TopicInLog } from '../store/store.ts';
import { HOURS, type StatsAnswer } from './answers.ts';

const CACHED_MS = 30_000;
const HOUR_MS = 3_600_000;
/** A transaction writes an event up to half a minute after the time that it gives it; then an hour's count is final. */
const SETTLED_MS = 120_000;
const AT_ONCE = 32;
/** Of those that have no place the newest are looked at one by one: a known topic may have an odd shape. */
const MOST_UNROUTED = 100;

type Count = { readonly topic: string | null; readonly hours: readonly number[] };

/**
 * Counts by aggregation queries, for all clients together and at most every 30 s. A refresh costs 9 counts of end users, at most 100
 * reads of what has no place,
 * a read for each topic that the log has, and a count for each topic with events in the current hour; the first one of a
 * process counts each of the 24 hours. Firestore bills a count as a read for each 1,000 index entries it passes.
 */
export class Stats {
  readonly #store: Store;
  readonly #clock: Clock;
  /** Counts of hours that no event can be added to any more, by topic and hour. */
  readonly #settled = new Map<string, number>();
  #cached: { readonly at: number; readonly stats: Promise<StatsAnswer> } | null = null;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** How many counts are kept as final. */
  get settled(): number {
    return this.#settled.size;
  }

  read(): Promise<StatsAnswer> {
    const now = Date.parse(this.#clock());
    if (this.#cached === null || now - this.#cached.at >= CACHED_MS) {
      const cached = { at: now, stats: this.#count(now) };
      this.#cached = cached;
      cached.stats.catch(() => {
        if (this.#cached === cached) this.#cached = null; // the next may succeed
      });
    }
    return this.#cached.stats;
  }

  async #count(now: number): Promise<StatsAnswer> {
    const thisHour = Math.floor(now / HOUR_MS) * HOUR_MS;
    const hours = Array.from({ length: HOURS }, (_, i) => thisHour - (HOURS - 1 - i) * HOUR_MS);
    const [endUsers, { topics, isCut }, { events: unrouted }] = await Promise.all([
      this.#endUsers(),
      this.#store.topics(),
      this.#store.unroutedEvents(MOST_UNROUTED, null),
    ]);
    const counts = await this.#events(topics, hours, now);
    const last = topics
      .map(({ recorded_at }) => recorded_at)
      .sort()
      .at(-1);
    return {
      computed_at: rfc3339(instantOf(now)),
      end_users: endUsers,
      events: {
        total: sum(counts.map(({ hours }) => sum(hours))),
        // Past so many only those of unknown topics are counted: what else has no place is rare.
        unrouted: Math.max(
          unrouted.filter(({ recorded_at }) => recorded_at >= instantOf(hours[0] ?? 0)).length,
          sum(counts.map(({ topic, hours }) => (topic !== null && isHeronTopic(topic) ? 0 : sum(hours)))),
        ),
        last_recorded_at: last === undefined ? null : rfc3339(last),
        hours: hours.map((hour) => rfc3339(instantOf(hour))),
        more_topics: isCut,
        topics: counts.map(({ topic, hours }) => ({ topic, total: sum(hours), by_hour: [...hours] })),
      },
    };
  }

  async #endUsers(): Promise<StatsAnswer['end_users']> {
    const [total = 0, review_required = 0, failing = 0, ...counts] = await pool(
      [{}, { review_required: true } as const, { failing: true } as const, ...STATUSES.map((status) => ({ status }))],
      AT_ONCE,
      (filter) => this.#store.countListed(filter),
    );
    // Counted one after another: what changed meanwhile may be counted twice.
    const other = Math.max(0, total - sum(counts));
    const by_status = Object.fromEntries(STATUSES.map((status, i) => [status, counts[i] ?? 0])) as Record<
      Status,
      number
    >;
    return { total, review_required, failing, by_status: { ...by_status, other } };
  }

  async #events(topics: readonly TopicInLog[], hours: readonly number[], now: number): Promise<readonly Count[]> {
    const since = instantOf(hours[0] ?? 0);
    const recent = topics.filter(({ recorded_at }) => recorded_at >= since);
    const wanted = recent.flatMap((topic) => hours.map((hour) => ({ ...topic, hour })));
    const counts = await pool(wanted, AT_ONCE, ({ topic, recorded_at, hour }) =>
      recorded_at < instantOf(hour) ? Promise.resolve(0) : this.#hour(topic, hour, now),
    );
    for (const key of this.#settled.keys())
      if (Number(key.split(' ', 1)[0]) < Number(hours[0])) this.#settled.delete(key);
    return recent
      .map(({ topic }, i) => ({ topic, hours: counts.slice(i * hours.length, (i + 1) * hours.length) }))
      .sort((a, b) => sum(b.hours) - sum(a.hours));
  }

  async #hour(topic: string | null, hour: number, now: number): Promise<number> {
    const key = `${hour} ${JSON.stringify(topic)}`;
    const known = this.#settled.get(key);
    if (known !== undefined) return known;
    const end = hour + HOUR_MS;
    const count = await this.#store.countEvents(topic, instantOf(hour), instantOf(end));
    if (now >= end + SETTLED_MS) this.#settled.set(key, count);
    return count;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
