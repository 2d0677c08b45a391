import type { Clock } from '../clock.ts';
import { instantOf, rfc3339 } from '../heron/instant.ts';
import { STATUSES, type Status } from '../heron/status.ts';
import { pool } from '../pool.ts';
import type { Store, TopicInLog } from '../store/store.ts';
import { HOURS, type StatsAnswer } from './answers.ts';

const CACHED_MS = 30_000;
const HOUR_MS = 3_600_000;
/** A transaction writes an event up to half a minute after the time that it gives it; then an hour's count is final. */
const SETTLED_MS = 120_000;
const AT_ONCE = 8;
/** Above it an hour is counted by itself, as halving would pass too many entries again and again. */
const DENSE = 1_000;

type Count = { readonly topic: string | null; readonly hours: readonly number[] };

/**
 * Counts by aggregation queries, for all clients together and at most every 30 s. A refresh costs 9 counts of end users,
 * one of what has no place, a read for each topic that the log has and ten more, and a count for each topic with events in the
 * current hour. The first of a process looks for the hours before by halving the day where a topic has few events, and
 * else counts each of them. Firestore bills a count as a read for each 1,000 index entries it passes.
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
    const [endUsers, { topics, isCut }, unrouted] = await Promise.all([
      this.#endUsers(),
      this.#store.topics(),
      this.#store.countUnrouted(instantOf(hours[0] ?? 0)),
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
        unrouted,
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
    const counts = await pool(recent, AT_ONCE, ({ topic, recorded_at }) => {
      const until = hours.findLastIndex((hour) => instantOf(hour) <= recorded_at) + 1;
      return this.#hours(topic, hours.slice(0, until), now);
    });
    for (const key of this.#settled.keys())
      if (Number(key.split(' ', 1)[0]) < Number(hours[0])) this.#settled.delete(key);
    return recent
      .map(({ topic }, i) => ({ topic, hours: hours.map((_, hour) => counts[i]?.[hour] ?? 0) }))
      .sort((a, b) => sum(b.hours) - sum(a.hours));
  }

  /** @param hours in order, one behind the other; those that are not settled yet are too. */
  async #hours(topic: string | null, hours: readonly number[], now: number): Promise<readonly number[]> {
    const keyOf = (hour: number) => `${hour} ${JSON.stringify(topic)}`;
    const isOver = (hour: number) => now >= hour + HOUR_MS + SETTLED_MS;
    const unknown = hours.filter((hour) => isOver(hour) && !this.#settled.has(keyOf(hour)));
    for (const [hour, count] of await this.#spread(topic, unknown)) this.#settled.set(keyOf(hour), count);
    return pool(hours, AT_ONCE, async (hour) => this.#settled.get(keyOf(hour)) ?? this.#between(topic, hour, hour));
  }

  /** How the events of hours in which none is added any more are spread over them. */
  async #spread(
    topic: string | null,
    hours: readonly number[],
    total?: number,
  ): Promise<readonly (readonly [hour: number, count: number])[]> {
    const [first, last] = [hours[0], hours.at(-1)];
    if (first === undefined || last === undefined) return [];
    const all = total ?? (await this.#between(topic, first, last));
    if (all === 0 || hours.length === 1) return hours.map((hour) => [hour, all]);
    if (all > DENSE)
      return pool(hours, AT_ONCE, async (hour) => [hour, await this.#between(topic, hour, hour)] as const);
    const half = hours.length >> 1;
    const [early, late] = [hours.slice(0, half), hours.slice(half)];
    const count = await this.#between(topic, early[0] ?? first, early.at(-1) ?? first);
    const halves = [this.#spread(topic, early, count), this.#spread(topic, late, Math.max(0, all - count))];
    return (await Promise.all(halves)).flat();
  }

  #between(topic: string | null, first: number, last: number): Promise<number> {
    return this.#store.countEvents(topic, instantOf(first), instantOf(last + HOUR_MS));
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
