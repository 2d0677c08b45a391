import { useState } from 'preact/hooks';
import { html } from './html.js';
import { delay, duration, isKnown, linkTo, linkToEvent, readable } from './model.js';
import { Failure, Foot, Loading, Status, Time } from './parts.js';
import { useAnswer, usePages } from './source.js';

/** @import { EventPage, LoggedEvent } from './model.js' */
/** @import { Answer } from './source.js' */

const PAGE_SIZE = 25;
const MAX_SHOWN_BYTES = 200_000;

/**
 * Events that a path of the API lists, with older ones on demand.
 * @param {{ path: string, version: unknown, what: string, withEndUser?: boolean, isOptional?: boolean }} properties
 *   `isOptional`: that there are none has been said.
 */
export function Timeline({ path, version, what, withEndUser = false, isOptional = false }) {
  const pages = usePages(
    path,
    version,
    PAGE_SIZE,
    (/** @type {EventPage} */ page) => page.events,
    (found, shown) => found.findIndex(({ id }) => id === shown.at(-1)?.id) + 1 || Infinity,
  );
  const { items, isAll, error, more } = pages;
  if (isOptional && error?.status === 404) return html`<p class="quiet empty">None.</p>`;
  if (items === null) return error === null ? html`<${Loading} what=${what} />` : html`<${Failure} of=${pages} />`;
  return html`
    <${Failure} of=${pages} stale />
    ${items.length === 0 && html`<p class="quiet empty">None yet.</p>`}
    <ol class="timeline">${items.map((event) => html`<${Event} key=${event.id} event=${event} withEndUser=${withEndUser} />`)}</ol>
    ${items.length > 0 && html`<${Foot} shown=${items.length} isAll=${isAll} more=${more} button="Show older" />`}
  `;
}

/** @param {{ event: LoggedEvent, withEndUser?: boolean, opened?: boolean }} properties */
export function Event({ event, withEndUser = false, opened = false }) {
  const [open, setOpen] = useState(opened);
  const body = /** @type {Answer<Uint8Array>} */ (useAnswer(open ? `events/${event.id}/body` : null, 0));
  const late = delay(event.created, event.recorded_at);
  const topic = event.topic ?? 'no topic';
  const tone = event.status === null ? '' : `is-${isKnown(event.status) ? event.status : 'other'}`;
  return html`
    <li class=${tone}>
      <div class="line">
        <a class="topic" href=${linkToEvent(event.id)}>${topic}</a>
        ${event.status !== null && html`<${Status} status=${event.status} />`}
        ${withEndUser && event.heron_id !== null && html`<a href=${linkTo(event.heron_id)}>${event.end_user_id ?? event.heron_id}</a>`}
        <span class="when">${event.created === null ? html`no time; recorded <${Time} of=${event.recorded_at} />` : html`<${Time} of=${event.created} />`}</span>
        ${late !== null && html`<span class="quiet" title="from Heron’s created until it was recorded here">recorded after ${duration(late)}</span>`}
        <button class="link" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? 'Hide body' : 'Body'} <span class="unseen">of ${topic}</span> <span class="quiet">${event.bytes.toLocaleString()} B</span></button>
      </div>
      ${event.reason !== undefined && html`<p class="reason">Without a place: ${event.reason}</p>`}
      ${open && body.data === null && body.error === null && html`<${Loading} what="the body" />`}
      ${open && html`<${Failure} of=${body} />`}
      ${open && body.data !== null && html`<${Body} bytes=${body.data} id=${event.id} />`}
    </li>
  `;
}

/** @param {{ bytes: Uint8Array, id: string }} properties */
function Body({ bytes, id }) {
  const isWhole = bytes.byteLength <= MAX_SHOWN_BYTES;
  const text = new TextDecoder().decode(bytes.subarray(0, MAX_SHOWN_BYTES));
  return html`
    <pre class="body" tabindex="0" role="region" aria-label="Body">${isWhole ? readable(text) : text}</pre>
    <p class="quiet">${!isWhole && `The first ${MAX_SHOWN_BYTES.toLocaleString()} bytes of ${bytes.byteLength.toLocaleString()}. `}<a href=${`events/${id}/body`} download=${`${id}.json`}>Download as it was sent</a></p>
  `;
}
