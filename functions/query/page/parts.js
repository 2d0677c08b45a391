// What several views show.

import { html } from './html.js';
import { ago, isKnown, words } from './model.js';

/** @import { Refused } from './source.js' */

/** @param {{ status: string | null }} properties */
export function Status({ status }) {
  const known = isKnown(status) ? status : 'other';
  return html`<span class="status is-${known}">${words(status)}</span>`;
}

const DAY_MS = 86_400_000;

/**
 * In the viewer's zone, and in UTC where one points at it.
 * @param {{ of: string, now?: number, clock?: boolean }} properties `now`: as the time that has passed.
 */
export function Time({ of, now, clock = false }) {
  const date = new Date(of);
  const recent = Math.abs(Date.now() - date.getTime()) < DAY_MS / 2;
  const local =
    clock || recent ? date.toLocaleTimeString() : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  return html`<time datetime=${of} title=${`${of.replace('T', ' ').replace('Z', '')} UTC`}>${now === undefined ? local : ago(now, of)}</time>`;
}

/** @param {{ what: string }} properties */
export function Loading({ what }) {
  return html`<p class="quiet loading" role="status">Loading ${what} …</p>`;
}

/** @param {{ error: Refused | null, again: () => void, stale?: boolean }} properties */
export function Failure({ error, again, stale = false }) {
  if (error === null) return null;
  const title = error.status === 404 ? 'Unknown' : error.status === 409 ? 'Not the only one' : 'That did not work';
  return html`<div class="failure" role="alert"><strong>${title}.</strong> ${error.message} ${stale && 'What you see may be old. '}<button class="link" onClick=${again}>Try again</button></div>`;
}
