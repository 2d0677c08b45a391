import { useEffect, useMemo, useState } from 'preact/hooks';
import { html } from './html.js';
import { linkToList, STATUSES, series, words } from './model.js';
import { Failure, Loading, Time } from './parts.js';
import { Plot } from './plot.js';
import { ALL, Rows } from './rows.js';
import { useAnswer, useNow } from './source.js';

/** @import { OnChange, Stats } from './model.js' */

/** The counts are kept for 30 s by the server. */
const STATS_MS = 31_000;

/** @param {{ version: number, onChange: OnChange }} properties */
export function Overview({ version, onChange }) {
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

/** @param {{ stats: Stats, now: number }} properties */
function Counts({ stats, now }) {
  const { end_users: endUsers, events, computed_at } = stats;
  const shown = useMemo(() => series(events.topics), [events]);
  const statuses = /** @type {const} */ ([...STATUSES, 'other']).filter(
    (status) => status !== 'other' || endUsers.by_status.other > 0,
  );
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
