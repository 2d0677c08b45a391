import { useEffect, useState } from 'preact/hooks';
import { html } from './html.js';
import { delay, duration, readable } from './model.js';
import { Failure, Loading, Status, Time } from './parts.js';
import { read, useAnswer } from './source.js';

/** @import { EndUser, EventPage, LoggedEvent, OnChange } from './model.js' */
/** @import { Answer, Refused } from './source.js' */

const HISTORY_PAGE = 25;
const MAX_SHOWN_BYTES = 200_000;

/** @param {{ id: string, version: number, onChange: OnChange }} properties */
export function One({ id, version, onChange }) {
  const [changes, setChanges] = useState(0);
  const { data, error, again } = useAnswer(`end-users/${encodeURIComponent(id)}`, `${version} ${changes}`);
  const endUser = /** @type {EndUser | null} */ (data);
  useEffect(
    () =>
      onChange(
        (/** @type {EndUser} */ { heron_id }) => heron_id === (endUser?.heron_id ?? id) && setChanges((n) => n + 1),
      ),
    [endUser?.heron_id],
  );
  return html`
    <p class="crumb"><a href="#/end-users">End users</a></p>
    <h1 tabindex="-1">${endUser?.end_user_id ?? id}</h1>
    <${Failure} error=${error} again=${again} stale=${data !== null} />
    ${endUser === null && error === null && html`<${Loading} what="the end user" />`}
    ${
      endUser !== null &&
      html`
        <section aria-label="State">
          <p class="standing large" role="status"><${Status} status=${endUser.status} />${endUser.review_required && html`<span class="flag">review required</span>`}</p>
          <dl class="facts">
            <div><dt>heron_id</dt><dd><code>${endUser.heron_id}</code></dd></div>
            <div><dt>Your id</dt><dd>${endUser.end_user_id === null ? '–' : html`<code>${endUser.end_user_id}</code>`}</dd></div>
            <div><dt>Status since</dt><dd>${endUser.status_at === null ? '–' : html`<${Time} of=${endUser.status_at} />`}</dd></div>
            <div><dt>First webhook</dt><dd><${Time} of=${endUser.first_event_at} /></dd></div>
            <div><dt>Last webhook</dt><dd><${Time} of=${endUser.last_event_at} /></dd></div>
            <div><dt>Webhooks</dt><dd>${endUser.event_count.toLocaleString()}</dd></div>
            ${endUser.meta !== null && html`<div class="long"><dt>meta</dt><dd><pre>${JSON.stringify(endUser.meta, null, 2)}</pre></dd></div>`}
          </dl>
        </section>
        <${History} id=${endUser.heron_id} version=${`${version} ${changes}`} />
      `
    }
  `;
}

/** @param {{ id: string, version: string }} properties */
function History({ id, version }) {
  const path = `end-users/${encodeURIComponent(id)}/events?page_size=${HISTORY_PAGE}`;
  const { data, error, again } = /** @type {Answer<EventPage>} */ (useAnswer(path, version));
  const [older, setOlder] = useState(/** @type {{ events: LoggedEvent[], next: string | null } | null} */ (null));
  const [problem, setProblem] = useState(/** @type {Refused | null} */ (null));
  if (data === null)
    return error === null
      ? html`<${Loading} what="its history" />`
      : html`<${Failure} error=${error} again=${again} />`;
  // What is older does not change; the first page may have moved on, so that both have some.
  const known = new Set(data.events.map(({ id }) => id));
  const events = [...data.events, ...(older?.events ?? []).filter(({ id }) => !known.has(id))];
  const next = older === null ? data.next_page_token : older.next;
  const load = () =>
    read(`${path}&page_token=${next}`).then((page) => {
      setProblem(null);
      setOlder({ events: [...(older?.events ?? []), ...page.events], next: page.next_page_token });
    }, setProblem);
  return html`
    <section aria-labelledby="history">
      <h2 id="history">History</h2>
      <${Failure} error=${error ?? problem} again=${error === null ? load : again} stale />
      <ol class="timeline">${events.map((event) => html`<${Event} key=${event.id} event=${event} />`)}</ol>
      <p class="foot" role="status">${events.length.toLocaleString()} shown${next === null ? ', which is all' : '; there are more'}</p>
      ${next !== null && html`<button class="wide" onClick=${load}>Show older</button>`}
    </section>
  `;
}

/** @param {{ event: LoggedEvent }} properties */
function Event({ event }) {
  const [open, setOpen] = useState(false);
  const { data, error, again } = useAnswer(open ? `events/${event.id}/body` : null, 0);
  const late = delay(event.created, event.recorded_at);
  const topic = event.topic ?? 'no topic';
  return html`
    <li class=${event.status === null ? '' : `is-${event.status}`}>
      <div class="line">
        <strong>${topic}</strong>
        ${event.status !== null && html`<${Status} status=${event.status} />`}
        <span class="when">${event.created === null ? 'no time' : html`<${Time} of=${event.created} />`}</span>
        ${late !== null && html`<span class="quiet" title="from Heron’s created until it was recorded here">recorded after ${duration(late)}</span>`}
        <button class="link" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? 'Hide body' : 'Body'} <span class="unseen">of ${topic}</span> <span class="quiet">${event.bytes.toLocaleString()} B</span></button>
      </div>
      ${open && data === null && error === null && html`<${Loading} what="the body" />`}
      ${open && html`<${Failure} error=${error} again=${again} />`}
      ${open && data !== null && html`<${Body} bytes=${data} id=${event.id} />`}
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
