// What the page decides, without a browser: routes, rows, words.

/** @import { BatchAnswer, EndUserAnswer, EndUserPageAnswer, EventAnswer, EventPageAnswer, StatsAnswer } from '../answers.ts' */

/**
 * @typedef {EndUserAnswer} EndUser
 * @typedef {EndUserPageAnswer} EndUserPage
 * @typedef {EventAnswer} LoggedEvent
 * @typedef {EventPageAnswer} EventPage
 * @typedef {BatchAnswer} Batch
 * @typedef {StatsAnswer} Stats
 * @typedef {Stats['events']['topics'][number]} TopicCount
 * @typedef {{ kind: 'all' } | { kind: 'status', status: string } | { kind: 'review' } | { kind: 'failing' }} Filter
 * @typedef {{ kind: 'topic', topic: string } | { kind: 'unrouted' }} EventFilter
 * @typedef {{ view: 'overview' } | { view: 'list', filter: Filter } | { view: 'find', id: string } | { view: 'one', id: string }
 *   | { view: 'events', filter: EventFilter | null } | { view: 'event', id: string } | { view: 'nowhere' }} Route
 * @typedef {(listener: (changed: EndUser[]) => void) => () => void} OnChange
 */

export const STATUSES = /** @type {const} */ (['new', 'ready', 'processed', 'review_requested', 'reviewed', 'failed']);

/** @param {string | null} status @returns {status is typeof STATUSES[number]} */
export const isKnown = (status) => STATUSES.some((known) => known === status);

/** Whether an id is an event's. @param {string} id */
export const isEventId = (id) => /^[0-9a-f]{64}$/.test(id);

/** @param {string} hash @returns {Route} */
export function parseRoute(hash) {
  const [path = '', search = ''] = hash.replace(/^#/, '').split(/\?(.*)/s);
  const parameters = new URLSearchParams(search);
  if (path === '' || path === '/') return { view: 'overview' };
  if (path === '/end-users') return { view: 'list', filter: filterOf(parameters) };
  if (path === '/find') return { view: 'find', id: parameters.get('id') ?? '' };
  if (path === '/events') {
    const topic = parameters.get('topic');
    if (parameters.get('unrouted') === 'true') return { view: 'events', filter: { kind: 'unrouted' } };
    return { view: 'events', filter: topic ? { kind: 'topic', topic } : null };
  }
  const [, collection, id = ''] = /^\/(end-users|events)\/([^/]+)$/.exec(path) ?? [];
  try {
    if (collection !== undefined)
      return { view: collection === 'events' ? 'event' : 'one', id: decodeURIComponent(id) };
  } catch {}
  return { view: 'nowhere' };
}

/** @param {URLSearchParams} parameters @returns {Filter} */
function filterOf(parameters) {
  if (parameters.get('review_required') === 'true') return { kind: 'review' };
  if (parameters.get('failing') === 'true') return { kind: 'failing' };
  const status = parameters.get('status');
  return status ? { kind: 'status', status } : { kind: 'all' };
}

/** @param {string} id */
export const linkTo = (id) => `#/end-users/${encodeURIComponent(id)}`;

/** @param {string} id */
export const linkToEvent = (id) => `#/events/${encodeURIComponent(id)}`;

/** What the API is asked for. @param {Filter} filter */
export function queryOf(filter) {
  switch (filter.kind) {
    case 'all':
      return '';
    case 'status':
      return `?${new URLSearchParams({ status: filter.status })}`;
    case 'review':
      return '?review_required=true';
    case 'failing':
      return '?failing=true';
    default:
      return /** @satisfies {never} */ (filter);
  }
}

/** @param {Filter} filter */
export const linkToList = (filter) => `#/end-users${queryOf(filter)}`;

/** @param {EventFilter} filter */
export const queryOfEvents = (filter) =>
  filter.kind === 'unrouted' ? '?unrouted=true' : `?${new URLSearchParams({ topic: filter.topic })}`;

/** @param {EventFilter} filter */
export const linkToEvents = (filter) => `#/events${queryOfEvents(filter)}`;

/** @param {EndUser} endUser @param {Filter} filter */
export function matches(endUser, filter) {
  switch (filter.kind) {
    case 'all':
      return true;
    case 'status':
      return filter.status === 'other' ? !isKnown(endUser.status) : endUser.status === filter.status;
    case 'review':
      return endUser.review_required;
    case 'failing':
      return endUser.failing;
    default:
      return /** @satisfies {never} */ (filter);
  }
}

/**
 * Rows after some end users changed: each comes first, enters or leaves.
 * @param {readonly EndUser[]} rows the last that changed first @param {readonly EndUser[]} changed likewise
 * @param {Filter} filter
 */
export function merge(rows, changed, filter) {
  const ids = new Set(changed.map(({ heron_id }) => heron_id));
  return [...changed.filter((each) => matches(each, filter)), ...rows.filter(({ heron_id }) => !ids.has(heron_id))];
}

/** Rows that stay where they are, with what is known now. @param {readonly EndUser[]} rows @param {readonly EndUser[]} changed */
export function refresh(rows, changed) {
  const byId = new Map(changed.map((each) => [each.heron_id, each]));
  return rows.map((row) => byId.get(row.heron_id) ?? row);
}

/**
 * What is newer than what was read meanwhile: a state of more events.
 * @param {readonly EndUser[]} read @param {readonly EndUser[]} changed
 */
export function newer(read, changed) {
  const counts = new Map(read.map(({ heron_id, event_count }) => [heron_id, event_count]));
  return changed.filter(({ heron_id, event_count }) => event_count >= (counts.get(heron_id) ?? 0));
}

/**
 * A list of end users, the last that changed first.
 * @typedef {object} Listed
 * @property {readonly EndUser[] | null} rows as the server has them; null before the first reading
 * @property {readonly EndUser[] | null} shown the same, but that nothing moves while somebody is there
 * @property {boolean} more there are more than these
 * @property {readonly EndUser[] | null} since what changed since a reading began, which may have been overtaken; null
 *   where none goes on
 * @property {boolean} isHeld somebody is there
 * @property {readonly string[]} waiting who is to be shown anew as soon as nobody is
 */

/** @type {Listed} */
export const UNLISTED = { rows: null, shown: null, more: false, since: null, isHeld: false, waiting: [] };

/**
 * @typedef {{ kind: 'begun' } | { kind: 'read', read: readonly EndUser[], more: boolean }
 *   | { kind: 'changed', changed: readonly EndUser[] } | { kind: 'held', isHeld: boolean }} ListNews
 * `changed`: the last that changed first.
 */

/**
 * The list after something happened.
 * @param {Listed} before @param {ListNews} news @param {Filter} filter @param {number} most rows that it takes
 * @returns {Listed}
 */
export function listed(before, news, filter, most) {
  const { rows, since, isHeld } = before;
  /** @param {readonly EndUser[]} all @param {readonly EndUser[]} changed @param {boolean} more */
  const now = (all, changed, more) => {
    const next = { ...before, rows: all.slice(0, most), more: more || all.length > most };
    if (!isHeld || before.shown === null) return { ...next, shown: next.rows };
    const waiting = [...new Set([...before.waiting, ...changed.map(({ heron_id }) => heron_id)])];
    return { ...next, shown: refresh(refresh(before.shown, next.rows), changed), waiting };
  };
  switch (news.kind) {
    case 'begun':
      return { ...before, since: [] };
    case 'read': {
      const known = new Map(rows?.map((row) => [row.heron_id, row]));
      const read = news.read.map((row) => same(known.get(row.heron_id), row));
      const all = merge(read, newer(read, since ?? []), filter);
      const unseen = all.filter(({ heron_id }) => !known.has(heron_id));
      return { ...now(all, unseen, news.more), since: null };
    }
    case 'changed': {
      // What is told may be older than what was read.
      const changed = newer(rows ?? [], news.changed);
      const overtaking = since && merge(since, changed, EVERYBODY).slice(0, MOST_OVERTAKING);
      if (rows === null) return { ...before, since: overtaking };
      return { ...now(merge(rows, changed, filter), changed, before.more), since: overtaking };
    }
    case 'held':
      if (news.isHeld) return { ...before, isHeld: true };
      return { ...before, isHeld: false, shown: rows, waiting: [] };
    default:
      return /** @satisfies {never} */ (news);
  }
}

/** What says the same stays the same object, which need not be drawn again. @template T @param {T | undefined} before @param {T} now */
const same = (before, now) => (before && JSON.stringify(before) === JSON.stringify(now) ? before : now);

/** @type {Filter} */
const EVERYBODY = { kind: 'all' };
/** Of more that change during one reading the last ones. */
const MOST_OVERTAKING = 1_000;

/**
 * JSON whose numbers keep the digits that they were written with, where the browser can.
 * @param {string} text @returns {any}
 */
export function exact(text) {
  const { rawJSON } = /** @type {{ rawJSON?: (text: string) => unknown }} */ (/** @type {unknown} */ (JSON));
  /** @type {(this: unknown, key: string, value: unknown, context?: { source?: string }) => unknown} */
  const asWritten = (_key, value, context) =>
    typeof value === 'number' && rawJSON && context?.source !== undefined && context.source !== String(value)
      ? rawJSON(context.source)
      : value;
  return JSON.parse(text, asWritten);
}

/** Times come with and without a fraction: as they are, they do not sort. @param {string} time */
export function inMicroseconds(time) {
  const fraction = /\.(\d{1,6})/.exec(time)?.[1] ?? '';
  return Date.parse(`${time.slice(0, 19)}Z`) * 1_000 + Number(fraction.padEnd(6, '0'));
}

/** From Heron's `created` until we had recorded it. @param {string | null} created @param {string} recorded */
export function delay(created, recorded) {
  return created === null ? null : (inMicroseconds(recorded) - inMicroseconds(created)) / 1_000;
}

/** @param {number} milliseconds */
export function duration(milliseconds) {
  const sign = milliseconds < 0 ? '−' : '';
  const ms = Math.abs(milliseconds);
  if (ms < 1_000) return `${sign}${Math.round(ms)} ms`;
  const units = /** @type {const} */ ([
    ['s', 1_000],
    ['min', 60_000],
    ['h', 3_600_000],
    ['d', 86_400_000],
  ]);
  const [unit, size] = units.findLast(([, size]) => ms >= size) ?? units[0];
  const value = ms / size;
  return `${sign}${value < 10 ? value.toFixed(1).replace(/\.0$/, '') : Math.round(value)} ${unit}`;
}

/** @param {number} now @param {string} time */
export function ago(now, time) {
  const passed = now - inMicroseconds(time) / 1_000;
  return passed < 2_000 ? 'just now' : `${duration(passed)} ago`;
}

const SERIES = 7;

/** Whether a topic tells that something went wrong. @param {string | null} topic */
export const isFailure = (topic) => topic !== null && /(^|[._])failed$/.test(topic);

/** What has a status has its colour, wherever it is drawn. */
const COLOURS = new Map([
  ['end_user.created', 'new'],
  ['end_user.processed', 'processed'],
  ['end_user.reviewed', 'reviewed'],
  ['end_user.review_required', 'review_requested'],
  ['end_user.failed', 'failed'],
]);

/**
 * What the plot shows, each with its colour: what failed first, then the topics with most, and all others as one.
 * @param {readonly TopicCount[]} topics with most first
 */
export function series(topics) {
  const first = [...topics.filter(({ topic }) => isFailure(topic)), ...topics.filter(({ topic }) => !isFailure(topic))];
  const named = first.map(({ topic, ...counts }) => ({ ...counts, name: topic ?? 'no topic' }));
  const shown = named.length <= SERIES ? named : named.slice(0, SERIES - 1);
  const rest = named.slice(shown.length);
  // By name, not by rank: a colour does not change its meaning when the numbers do.
  const others = shown
    .map(({ name }) => name)
    .filter((name) => !COLOURS.has(name))
    .sort();
  const coloured = shown.map((each) => ({
    ...each,
    colour: COLOURS.get(each.name) ?? `plot-${others.indexOf(each.name) + 1}`,
  }));
  if (rest.length === 0) return coloured;
  const by_hour = (rest[0]?.by_hour ?? []).map((_, hour) =>
    rest.reduce((sum, each) => sum + (each.by_hour[hour] ?? 0), 0),
  );
  const total = rest.reduce((sum, each) => sum + each.total, 0);
  const name = `${rest.length} more ${rest.length === 1 ? 'topic' : 'topics'}`;
  return [...coloured, { name, total, by_hour, colour: 'rest' }];
}

/** @param {string | null} status */
export const words = (status) => (status === null ? 'no status yet' : status.replaceAll('_', ' '));

/** A body as people read it: indented where it is JSON. @param {string} text */
export function readable(text) {
  try {
    return JSON.stringify(exact(text), null, 2);
  } catch {
    return text;
  }
}
