import htm from 'htm';
import { h, render } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import {
  ago,
  delay,
  duration,
  linkTo,
  linkToList,
  merge,
  parseRoute,
  readable,
  STATUSES,
  series,
  words,
} from './model.js';
import { Plot } from './plot.js';
import { read, useAnswer, useNow, useStream } from './source.js';

/** @import { Batch, EndUser, EndUserPage, EventPage, Filter, LoggedEvent, OnChange, Stats } from './model.js' */
/** @import { Answer, Refused } from './source.js' */

const html = htm.bind(h);

const PAGE_SIZE = 50;
const HISTORY_PAGE = 25;
/** The counts are kept for 30 s by the server. */
const STATS_MS = 31_000;
const MAX_SHOWN_BYTES = 200_000;

function App() {
  const [hash, setHash] = useState(location.hash);
  const route = useMemo(() => parseRoute(hash), [hash]);
  const listeners = useRef(/** @type {Set<(endUser: EndUser) => void>} */ (new Set()));
  const { live, version } = useStream((endUser) => {
    for (const listener of listeners.current) listener(endUser);
  });
  const onChange = useCallback((/** @type {(endUser: EndUser) => void} */ listener) => {
    listeners.current.add(listener);
    return () => listeners.current.delete(listener);
  }, []);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  const isFirst = useRef(true);
  useEffect(() => {
    const heading = document.querySelector('h1');
    document.title = `${heading?.textContent ?? ''} · Heron webhooks`;
    if (!isFirst.current) heading?.focus();
    isFirst.current = false;
  }, [hash]);

  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <header class="top">
      <a class="brand" href="#/">Heron webhooks</a>
      <nav aria-label="Views">
        <a href="#/" aria-current=${route.view === 'overview' ? 'page' : undefined}>Overview</a>
        <a href="#/end-users" aria-current=${route.view === 'list' ? 'page' : undefined}>End users</a>
      </nav>
      <${Search} key=${route.view === 'find' ? route.id : ''} id=${route.view === 'find' ? route.id : ''} />
      <${Live} live=${live} />
    </header>
    <main id="main" key=${hash} tabindex="-1">
      ${route.view === 'overview' && html`<${Overview} version=${version} onChange=${onChange} />`}
      ${route.view === 'list' && html`<${List} filter=${route} version=${version} onChange=${onChange} />`}
      ${route.view === 'find' && html`<${Find} id=${route.id} version=${version} />`}
      ${route.view === 'one' && html`<${One} id=${route.id} version=${version} onChange=${onChange} />`}
      ${route.view === 'nowhere' && html`<h1 tabindex="-1">Nothing is here</h1><p><a href="#/">Overview</a></p>`}
    </main>
  `;
}

/** The hash is the route, so a link within the page must not change it. @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/** @param {{ live: 'connecting' | 'live' | 'offline' }} properties */
function Live({ live }) {
  const text = { connecting: 'Connecting …', live: 'Live', offline: 'Offline: trying again' }[live];
  return html`<p class="live ${live}" role="status"><span class="dot" aria-hidden="true"></span>${text}</p>`;
}

/** @param {{ id: string }} properties */
function Search({ id }) {
  /** @param {SubmitEvent} event */
  const find = (event) => {
    event.preventDefault();
    const wanted = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get('id')).trim();
    if (wanted !== '') location.hash = `#/find?${new URLSearchParams({ id: wanted })}`;
  };
  return html`
    <form role="search" onSubmit=${find}>
      <input type="search" name="id" aria-label="Find an end user by heron_id or your own id" placeholder="heron_id or your own id" defaultValue=${id} autocomplete="off" spellcheck=${false} maxlength="1024" />
      <button>Find</button>
    </form>
  `;
}

/** @param {{ version: number, onChange: OnChange }} properties */
function Overview({ version, onChange }) {
  const now = useNow(5_000);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setRound((n) => n + 1), STATS_MS);
    return () => clearInterval(timer);
  }, []);
  const { data, error, again } = useAnswer('stats', `${version} ${round}`);
  return html`
    <h1 tabindex="-1">Overview</h1>
    <${Failure} error=${error} again=${again} stale=${data !== null} />
    ${data === null && error === null && html`<${Loading} what="the counts" />`}
    ${data !== null && html`<${Counts} stats=${data} now=${now} />`}
    <section aria-labelledby="latest">
      <div class="headed"><h2 id="latest">Latest changes</h2><a href="#/end-users">All end users</a></div>
      <${Rows} filter=${ALL} size=${8} version=${version} onChange=${onChange} more=${false} />
    </section>
  `;
}

/** @type {Filter} */
const ALL = { status: null, review: false };

/** @param {{ stats: Stats, now: number }} properties */
function Counts({ stats, now }) {
  const { end_users: endUsers, events, computed_at } = stats;
  const shown = useMemo(() => series(events.topics), [events]);
  const statuses = [...STATUSES, 'other'].filter((status) => status !== 'other' || endUsers.by_status.other > 0);
  const last = events.last_recorded_at;
  return html`
    <section aria-labelledby="statuses">
      <div class="headed">
        <h2 id="statuses">${endUsers.total.toLocaleString()} end ${endUsers.total === 1 ? 'user' : 'users'}</h2>
        <span class="quiet">as of <${Time} of=${computed_at} clock /></span>
      </div>
      <div class="share" aria-hidden="true">
        ${statuses.map((status) => html`<span class="is-${status}" style=${{ flexGrow: endUsers.by_status[status] }}></span>`)}
      </div>
      <ul class="tiles">
        ${statuses.map((status) => {
          const inside = html`<span class="dot is-${status}" aria-hidden="true"></span><span class="label">${words(status)}</span><span class="number">${(endUsers.by_status[status] ?? 0).toLocaleString()}</span>`;
          return html`<li>${status === 'other' ? html`<span class="tile">${inside}</span>` : html`<a class="tile" href=${linkToList({ status, review: false })}>${inside}</a>`}</li>`;
        })}
      </ul>
    </section>
    <div class="columns">
      <section aria-labelledby="webhooks">
        <div class="headed">
          <h2 id="webhooks">${events.total.toLocaleString()} ${events.total === 1 ? 'webhook' : 'webhooks'} in 24 hours</h2>
          <span class="quiet">${last === null ? 'none seen yet' : html`last <${Time} of=${last} now=${now} />`}</span>
        </div>
        ${
          shown.length === 0
            ? html`<p class="quiet">None yet. What Heron sends from now on is drawn here by hour.</p>`
            : html`<${Plot} hours=${events.hours} series=${shown} />
              <ul class="legend">${shown.map(({ name, total }, i) => html`<li><span class="swatch plot-${i + 1}" aria-hidden="true"></span>${name} <span class="quiet">${total.toLocaleString()}</span></li>`)}</ul>
              <${Table} hours=${events.hours} series=${shown} />`
        }
      </section>
      <section aria-labelledby="attention">
        <h2 id="attention">Needs attention</h2>
        <ul class="attention">
          <${Attention} count=${endUsers.by_status.failed} what="failed" href=${linkToList({ status: 'failed', review: false })} />
          <${Attention} count=${endUsers.review_required} what="waiting for a review" href=${linkToList({ status: null, review: true })} />
          <${Attention} count=${events.unrouted} what="webhooks of an unknown topic in 24 hours" />
        </ul>
        <p class="quiet">Dead letters are in Pub/Sub, which this page has no right to read: <code>npx heron dead-letters list</code></p>
      </section>
    </div>
  `;
}

/** @param {{ count: number, what: string, href?: string }} properties */
function Attention({ count, what, href }) {
  const text = html`<span class="number">${count.toLocaleString()}</span> ${what}`;
  return html`<li class=${count > 0 ? 'some' : 'none'}>${href === undefined || count === 0 ? html`<span>${text}</span>` : html`<a href=${href}>${text}</a>`}</li>`;
}

/** @param {{ hours: string[], series: { name: string, by_hour: number[] }[] }} properties */
function Table({ hours, series }) {
  return html`
    <details>
      <summary>The same as a table</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Webhooks by hour and topic">
        <table>
          <thead><tr><th scope="col">Hour</th>${series.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
          <tbody>
            ${hours.map((hour, i) => html`<tr><th scope="row"><${Time} of=${hour} /></th>${series.map(({ by_hour }) => html`<td>${by_hour[i]}</td>`)}</tr>`)}
          </tbody>
        </table>
      </div>
    </details>
  `;
}

/** @param {{ filter: Filter, version: number, onChange: OnChange }} properties */
function List({ filter, version, onChange }) {
  const chips = [
    { name: 'All', to: ALL },
    ...STATUSES.map((status) => ({ name: words(status), to: { status, review: false } })),
    { name: 'review required', to: { status: null, review: true } },
  ];
  const here = linkToList(filter);
  return html`
    <h1 tabindex="-1">End users</h1>
    <nav class="chips" aria-label="Filter">
      ${chips.map(({ name, to }) => html`<a href=${linkToList(to)} aria-current=${linkToList(to) === here ? 'true' : undefined}>${name}</a>`)}
    </nav>
    <${Rows} filter=${filter} size=${PAGE_SIZE} version=${version} onChange=${onChange} more=${true} />
  `;
}

/**
 * End users, newest change first, which move as webhooks arrive.
 * @param {{ filter: Filter, size: number, version: number, more: boolean, onChange: OnChange }} properties
 */
function Rows({ filter, size, version, more, onChange }) {
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
function Row({ endUser, changes }) {
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

/** @param {{ id: string, version: number }} properties */
function Find({ id, version }) {
  const init = useMemo(() => ({ method: 'POST', body: JSON.stringify({ ids: [id] }) }), [id]);
  const { data, error, again } = /** @type {Answer<Batch>} */ (
    useAnswer(id === '' ? null : './end-users:batchGet', `${id} ${version}`, init)
  );
  const found = data?.results[0]?.end_users;
  const [only] = found ?? [];
  useEffect(() => {
    if (found?.length === 1 && only !== undefined) location.replace(linkTo(only.heron_id));
  }, [found]);
  return html`
    <h1 tabindex="-1">Find</h1>
    <${Failure} error=${error} again=${again} />
    ${found === undefined && error === null && html`<${Loading} what="that id" />`}
    ${found?.length === 0 && html`<p class="empty">No webhook has named an end user with the id <code>${id}</code>.</p>`}
    ${
      found !== undefined &&
      found.length > 1 &&
      html`<p>${found.length} end users share the id <code>${id}</code>:</p>
        <ul class="rows">${found.map((each) => html`<${Row} key=${each.heron_id} endUser=${each} changes=${0} />`)}</ul>`
    }
  `;
}

/** @param {{ id: string, version: number, onChange: OnChange }} properties */
function One({ id, version, onChange }) {
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

/** @param {{ status: string | null }} properties */
function Status({ status }) {
  const known = status !== null && STATUSES.includes(status) ? status : 'other';
  return html`<span class="status is-${known}">${words(status)}</span>`;
}

const DAY_MS = 86_400_000;

/**
 * In the viewer's zone, and in UTC where one points at it.
 * @param {{ of: string, now?: number, clock?: boolean }} properties `now`: as the time that has passed.
 */
function Time({ of, now, clock = false }) {
  const date = new Date(of);
  const recent = Math.abs(Date.now() - date.getTime()) < DAY_MS / 2;
  const local =
    clock || recent ? date.toLocaleTimeString() : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  return html`<time datetime=${of} title=${`${of.replace('T', ' ').replace('Z', '')} UTC`}>${now === undefined ? local : ago(now, of)}</time>`;
}

/** @param {{ what: string }} properties */
function Loading({ what }) {
  return html`<p class="quiet loading" role="status">Loading ${what} …</p>`;
}

/** @param {{ error: Refused | null, again: () => void, stale?: boolean }} properties */
function Failure({ error, again, stale = false }) {
  if (error === null) return null;
  const title = error.status === 404 ? 'Unknown' : error.status === 409 ? 'Not the only one' : 'That did not work';
  return html`<div class="failure" role="alert"><strong>${title}.</strong> ${error.message} ${stale && 'What you see may be old. '}<button class="link" onClick=${again}>Try again</button></div>`;
}

const app = document.getElementById('app');
if (app !== null) {
  app.replaceChildren();
  render(html`<${App} />`, app);
}
