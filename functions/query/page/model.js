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
 * @typedef {{ status: string | null, review: boolean }} Filter
 * @typedef {{ view: 'overview' } | ({ view: 'list' } & Filter) | { view: 'find', id: string } | { view: 'one', id: string }
 *   | { view: 'nowhere' }} Route
 * @typedef {(listener: (endUser: EndUser) => void) => () => void} OnChange
 */

export const STATUSES = /** @type {const} */ (['new', 'ready', 'processed', 'review_requested', 'reviewed', 'failed']);

/** @param {string | null} status @returns {status is typeof STATUSES[number]} */
export const isKnown = (status) => STATUSES.some((known) => known === status);

/** @param {string} hash @returns {Route} */
export function parseRoute(hash) {
  const [path = '', search = ''] = hash.replace(/^#/, '').split(/\?(.*)/s);
  const parameters = new URLSearchParams(search);
  if (path === '' || path === '/') return { view: 'overview' };
  if (path === '/end-users') {
    const review = parameters.get('review_required') === 'true';
    return { view: 'list', status: review ? null : parameters.get('status') || null, review };
  }
  if (path === '/find') return { view: 'find', id: parameters.get('id') ?? '' };
  const id = /^\/end-users\/([^/]+)$/.exec(path)?.[1];
  try {
    if (id !== undefined) return { view: 'one', id: decodeURIComponent(id) };
  } catch {}
  return { view: 'nowhere' };
}

/** @param {string} id */
export const linkTo = (id) => `#/end-users/${encodeURIComponent(id)}`;

/** @param {Filter} filter */
export function linkToList({ status, review }) {
  const parameters = review ? { review_required: 'true' } : status === null ? null : { status };
  return `#/end-users${parameters === null ? '' : `?${new URLSearchParams(parameters)}`}`;
}

/** @param {EndUser} endUser @param {Filter} filter */
export function matches(endUser, { status, review }) {
  return (status === null || endUser.status === status) && (!review || endUser.review_required);
}

/**
 * Rows after one changed: it moves to its place, enters or leaves. One that belongs behind the last row is left to the
 * next page where there is one.
 * @param {EndUser[]} rows newest change first @param {EndUser} changed @param {Filter} filter @param {boolean} hasMore
 */
export function merge(rows, changed, filter, hasMore) {
  const others = rows.filter(({ heron_id }) => heron_id !== changed.heron_id);
  if (!matches(changed, filter)) return others;
  const place = others.findIndex((row) => isBefore(changed, row));
  if (place === -1) return hasMore ? others : [...others, changed];
  return others.toSpliced(place, 0, changed);
}

/** @param {EndUser} a @param {EndUser} b */
function isBefore(a, b) {
  const [first, second] = [inMicroseconds(a.last_event_at), inMicroseconds(b.last_event_at)];
  return first > second || (first === second && a.heron_id > b.heron_id);
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

const SERIES = 6;

/** What the plot shows: the topics with most, and all others as one. @param {TopicCount[]} topics */
export function series(topics) {
  const named = topics.map(({ topic, ...counts }) => ({ ...counts, name: topic ?? 'no topic' }));
  if (named.length <= SERIES) return named;
  const rest = named.slice(SERIES - 1);
  const by_hour = (rest[0]?.by_hour ?? []).map((_, hour) =>
    rest.reduce((sum, each) => sum + (each.by_hour[hour] ?? 0), 0),
  );
  const total = rest.reduce((sum, each) => sum + each.total, 0);
  return [...named.slice(0, SERIES - 1), { name: `${rest.length} more topics`, total, by_hour }];
}

/** @param {string | null} status */
export const words = (status) => (status === null ? 'no status yet' : status.replaceAll('_', ' '));

/** A body as people read it: indented where it is JSON. @param {string} text */
export function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
