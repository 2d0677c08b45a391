// What several views show.

import { html } from './html.js';
import { ago, isKnown, words } from './model.js';
import { MOST_SHOWN } from './source.js';

/** @import { Refused } from './source.js' */

/** @param {{ status: string | null }} properties */
export function Status({ status }) {
  const known = isKnown(status) ? status : 'other';
  return html`<span class="status is-${known}" title=${words(status)}>${words(status)}</span>`;
}

const CLOCK = /** @type {const} */ ({ hour: '2-digit', minute: '2-digit', second: '2-digit' });

/**
 * In the viewer's zone, which it names, and in UTC where one points at it.
 * @param {{ of: string, now?: number }} properties `now`: as the time that has passed.
 */
export function Time({ of, now }) {
  const date = new Date(of);
  const year = date.getFullYear() === new Date().getFullYear() ? {} : /** @type {const} */ ({ year: 'numeric' });
  const day = date.toLocaleDateString([], { day: 'numeric', month: 'short', ...year });
  const clock = date.toLocaleTimeString([], { ...CLOCK, timeZoneName: 'short' });
  return html`<time datetime=${of} title=${`${of.replace('T', ' ').replace('Z', '')} UTC`}>${now === undefined ? `${day}, ${clock}` : ago(now, of)}</time>`;
}

/** @param {{ status: string | null, review_required: boolean, failing: boolean }} properties */
export function Standing({ status, review_required, failing }) {
  return html`<${Status} status=${status} />${review_required && status !== 'review_requested' && html`<span class="flag is-review_requested">review required</span>`}${failing && status !== 'failed' && html`<span class="flag is-failed">failing</span>`}`;
}

/** @param {{ what: string }} properties */
export function Loading({ what }) {
  return html`<p class="quiet loading" role="status">Loading ${what} …</p>`;
}

/**
 * What could not be read, and why.
 * @param {{ of: { error: Refused | null, trying: boolean, again: () => void }, stale?: boolean }} properties
 */
export function Failure({ of: { error, trying, again }, stale = false }) {
  if (error === null) return null;
  const title = error.status === 404 ? 'Unknown' : error.status === 409 ? 'Not the only one' : 'That did not work';
  return html`<div class="failure" role="alert"><strong>${title}.</strong> ${error.message} ${stale && 'What you see may be old. '}${trying ? 'Trying again …' : html`<button class="link" onClick=${again}>Try again</button>`}</div>`;
}

/**
 * How much of a list is shown, and the way to more of it.
 * @param {{ shown: number, isAll: boolean, more: () => void, button: string }} properties
 */
export function Foot({ shown, isAll, more, button }) {
  const rest = isAll ? ', which is all' : shown < MOST_SHOWN ? '; there are more' : '; more are not shown here';
  return html`
    <p class="foot" role="status">${shown.toLocaleString()} shown${rest}</p>
    ${!isAll && shown < MOST_SHOWN && html`<button class="wide" onClick=${more}>${button}</button>`}
  `;
}
