import { useEffect, useState } from 'preact/hooks';
import { html } from './html.js';
import { linkTo, merge } from './model.js';
import { Failure, Loading, Status, Time } from './parts.js';
import { read, useAnswer } from './source.js';

/** @import { EndUser, EndUserPage, Filter, OnChange } from './model.js' */
/** @import { Answer, Refused } from './source.js' */

/** @type {Filter} */
export const ALL = { status: null, review: false };

/**
 * End users, newest change first, which move as webhooks arrive.
 * @param {{ filter: Filter, size: number, version: number, more: boolean, onChange: OnChange }} properties
 */
export function Rows({ filter, size, version, more, onChange }) {
  const parameters = new URLSearchParams({
    page_size: String(size),
    ...(filter.status === null ? {} : { status: filter.status }),
    ...(filter.review ? { review_required: 'true' } : {}),
  });
  const path = `end-users?${parameters}`;
  const { data, error, again } = /** @type {Answer<EndUserPage>} */ (useAnswer(path, version));
  const [page, setPage] = useState(/** @type {{ rows: EndUser[], next: string | null } | null} */ (null));
  const [changed, setChanged] = useState(/** @type {ReadonlyMap<string, number>} */ (new Map()));
  const [problem, setProblem] = useState(/** @type {Refused | null} */ (null));
  useEffect(() => {
    if (data !== null) setPage({ rows: data.end_users, next: data.next_page_token });
  }, [data]);
  useEffect(
    () =>
      onChange((/** @type {EndUser} */ endUser) => {
        setPage((before) => {
          if (before === null) return null;
          const rows = merge(before.rows, endUser, filter, before.next !== null);
          return { ...before, rows: more ? rows : rows.slice(0, size) };
        });
        setChanged((before) => new Map(before).set(endUser.heron_id, (before.get(endUser.heron_id) ?? 0) + 1));
      }),
    [path],
  );
  const load = () =>
    read(`${path}&page_token=${page?.next}`).then((next) => {
      setProblem(null);
      setPage((before) => {
        const known = new Set(before?.rows.map(({ heron_id }) => heron_id));
        const fresh = next.end_users.filter((/** @type {EndUser} */ { heron_id }) => !known.has(heron_id));
        return { rows: [...(before?.rows ?? []), ...fresh], next: next.next_page_token };
      });
    }, setProblem);

  if (page === null)
    return error === null ? html`<${Loading} what="end users" />` : html`<${Failure} error=${error} again=${again} />`;
  const { rows, next } = page;
  return html`
    <${Failure} error=${error} again=${again} stale />
    ${rows.length === 0 && html`<${Nobody} filter=${filter} />`}
    <ul class="rows">
      ${rows.map((row) => html`<${Row} key=${row.heron_id} endUser=${row} changes=${changed.get(row.heron_id) ?? 0} />`)}
    </ul>
    ${
      more &&
      rows.length > 0 &&
      html`<p class="foot" role="status">${rows.length.toLocaleString()} shown${next === null ? ', which is all' : '; there are more'}</p>
        <${Failure} error=${problem} again=${load} stale />
        ${next !== null && html`<button class="wide" onClick=${load}>Show more</button>`}`
    }
  `;
}

/** @param {{ filter: Filter }} properties */
function Nobody({ filter }) {
  const filtered = filter.review || filter.status !== null;
  return html`<p class="quiet empty">${filtered ? 'No end user stands here now. One that comes to is shown at once.' : 'No webhook has named an end user yet. The first is shown here as it arrives.'}</p>`;
}

/** @param {{ endUser: EndUser, changes: number }} properties */
export function Row({ endUser, changes }) {
  const { heron_id, end_user_id, status, review_required, last_event, last_event_at, event_count } = endUser;
  // Another key makes another element, whose animation begins anew.
  return html`
    <li key=${changes} class=${changes > 0 ? 'changed' : ''} data-heron-id=${heron_id}>
      <a class="who" href=${linkTo(heron_id)}><strong>${end_user_id ?? heron_id}</strong>${end_user_id !== null && html`<span class="quiet id">${heron_id}</span>`}</a>
      <span class="standing"><${Status} status=${status} />${review_required && html`<span class="flag">review required</span>`}</span>
      <span class="what quiet">${last_event.topic ?? 'no topic'}</span>
      <span class="when"><${Time} of=${last_event_at} /></span>
      <span class="count quiet">${event_count.toLocaleString()} ${event_count === 1 ? 'event' : 'events'}</span>
    </li>
  `;
}
