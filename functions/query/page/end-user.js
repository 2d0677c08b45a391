import { useEffect, useState } from 'preact/hooks';
import { html } from './html.js';
import { newer } from './model.js';
import { Failure, Loading, Standing, Time } from './parts.js';
import { useAnswer } from './source.js';
import { Timeline } from './timeline.js';

/** @import { EndUser, OnChange } from './model.js' */
/** @import { Answer } from './source.js' */

/** @param {{ id: string, version: number, onChange: OnChange }} properties */
export function One({ id, version, onChange }) {
  const [streamed, setStreamed] = useState(/** @type {EndUser | null} */ (null));
  const path = `end-users/${encodeURIComponent(id)}`;
  const answer = /** @type {Answer<EndUser>} */ (useAnswer(path, version));
  const { data, error } = answer;
  const known = data?.heron_id ?? id;
  useEffect(
    () => onChange((changed) => setStreamed((before) => changed.find(({ heron_id }) => heron_id === known) ?? before)),
    [known],
  );
  // Where all is read again, what was told before may have been taken back.
  useEffect(() => setStreamed(null), [version]);
  // Who share a customer's id are listed there.
  const isShared = error?.status === 409;
  useEffect(() => {
    if (isShared) location.replace(`#/find?${new URLSearchParams({ id })}`);
  }, [isShared]);
  const [newest] = data === null ? [streamed] : newer([data], streamed === null ? [] : [streamed]);
  const endUser = newest ?? data;
  return html`
    <p class="crumb"><a href="#/end-users">End users</a></p>
    <h1 tabindex="-1">${endUser?.end_user_id ?? id}</h1>
    ${(endUser === null || error?.status !== 404) && html`<${Failure} of=${answer} stale=${data !== null} />`}
    ${endUser === null && error === null && html`<${Loading} what="the end user" />`}
    ${endUser !== null && html`<${State} endUser=${endUser} />`}
    ${
      (endUser !== null || (error?.status === 404 && /^eus_/.test(id))) &&
      html`<section aria-labelledby="history">
        <h2 id="history">History</h2>
        <${Timeline} path=${`end-users/${encodeURIComponent(known)}/events`} version=${`${version} ${streamed?.event_count}`} what="its history" isOptional=${endUser === null} />
      </section>`
    }
  `;
}

/** @param {{ endUser: EndUser }} properties */
function State({ endUser }) {
  const { heron_id, end_user_id, status_at, processed_at, failed_at, reviewed_at, meta } = endUser;
  return html`
    <section aria-label="State">
      <p class="standing large" role="status"><${Standing} ...${endUser} /></p>
      <dl class="facts">
        <div><dt>heron_id</dt><dd><code>${heron_id}</code></dd></div>
        <div><dt>Your id</dt><dd>${end_user_id === null ? '–' : html`<code>${end_user_id}</code>`}</dd></div>
        <${When} name="Status since" of=${status_at} />
        <${When} name="Last processed" of=${processed_at} />
        <${When} name="Last failed" of=${failed_at} />
        <${When} name="Last reviewed" of=${reviewed_at} />
        <${When} name="First webhook" of=${endUser.first_event_at} />
        <${When} name="Last webhook" of=${endUser.last_event_at} />
        <div><dt>Webhooks</dt><dd>${endUser.event_count.toLocaleString()}</dd></div>
        ${meta !== null && html`<div class="long"><dt>meta</dt><dd><pre>${JSON.stringify(meta, null, 2)}</pre></dd></div>`}
      </dl>
    </section>
  `;
}

/** @param {{ name: string, of: string | null }} properties */
function When({ name, of }) {
  return html`<div><dt>${name}</dt><dd>${of === null ? '–' : html`<${Time} of=${of} />`}</dd></div>`;
}
