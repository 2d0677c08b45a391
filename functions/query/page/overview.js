import { useMemo } from 'preact/hooks';
import { html } from './html.js';
import { isFailure, linkToEvents, linkToList, STATUSES, series, words } from './model.js';
import { Failure, Loading, Time } from './parts.js';
import { Plot } from './plot.js';
import { ALL, Rows } from './rows.js';
import { useNow, useStats } from './source.js';

/** @import { OnChange, Stats } from './model.js' */

/** @param {{ version: number, onChange: OnChange }} properties */
export function Overview({ version, onChange }) {
  const now = useNow(1_000);
  const stats = useStats(version);
  const { data, error } = stats;
  return html`
    <h1 tabindex="-1">Overview</h1>
    <${Failure} of=${stats} stale=${data !== null} />
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
  const statuses = /** @type {const} */ ([...STATUSES, 'other']).filter(
    (status) => status !== 'other' || endUsers.by_status.other > 0,
  );
  return html`
    <section aria-labelledby="statuses">
      <div class="headed">
        <h2 id="statuses">${endUsers.total.toLocaleString()} end ${endUsers.total === 1 ? 'user' : 'users'}</h2>
        <span class="quiet">counted <${Time} of=${computed_at} now=${now} /></span>
      </div>
      <div class="share" aria-hidden="true">
        ${statuses.map((status) => html`<span class="is-${status}" style=${{ flexGrow: endUsers.by_status[status] }}></span>`)}
      </div>
      <ul class="tiles">
        ${statuses.map((status) => html`<li><a class="tile" href=${linkToList({ kind: 'status', status })}><span class="dot is-${status}" aria-hidden="true"></span><span class="label">${words(status)}</span><span class="number">${endUsers.by_status[status].toLocaleString()}</span></a></li>`)}
      </ul>
    </section>
    <div class="columns">
      <${Webhooks} events=${events} now=${now} />
      <section aria-labelledby="attention">
        <h2 id="attention">Needs attention</h2>
        <ul class="attention">
          <${Attention} count=${endUsers.failing} what="end users failing" href=${linkToList({ kind: 'failing' })} />
          <${Attention} count=${endUsers.review_required} what="waiting for a review" href=${linkToList({ kind: 'review' })} />
          <${Attention} count=${events.unrouted} what="webhooks without a place in 24 hours" href=${linkToEvents({ kind: 'unrouted' })} />
          ${events.topics.map(({ topic, total }) => topic !== null && isFailure(topic) && total > 0 && html`<${Attention} key=${topic} count=${total} what=${`${topic} in 24 hours`} href=${linkToEvents({ kind: 'topic', topic })} />`)}
        </ul>
        <p class="quiet">Dead letters are in Pub/Sub, which this page has no right to read: <code>npx heron dead-letters list</code></p>
      </section>
    </div>
  `;
}

/** @param {{ events: Stats['events'], now: number }} properties */
function Webhooks({ events, now }) {
  // Counted again and again, they are mostly the same: the plot is drawn again only where they are not.
  const counted = JSON.stringify([events.topics, events.hours]);
  const [shown, hours] = useMemo(() => /** @type {const} */ ([series(events.topics), events.hours]), [counted]);
  const last = events.last_recorded_at;
  return html`
    <section aria-labelledby="webhooks">
      <div class="headed">
        <h2 id="webhooks">${events.total.toLocaleString()} ${events.total === 1 ? 'webhook' : 'webhooks'} in 24 hours</h2>
        <span class="quiet">${last === null ? 'none seen yet' : html`last <${Time} of=${last} now=${now} />`}</span>
      </div>
      ${events.more_topics && html`<p class="quiet">Of the first 200 topics by name; the log has more.</p>`}
      ${
        shown.length === 0
          ? html`<p class="quiet">None yet. What Heron sends from now on is drawn here by hour.</p>`
          : html`<${Plot} hours=${hours} series=${shown} />
            <ul class="legend">${shown.map(({ name, total, colour }) => html`<li><span class="swatch" style=${{ background: `var(--${colour})` }} aria-hidden="true"></span>${name} <span class="quiet">${total.toLocaleString()}</span></li>`)}</ul>
            <${Table} hours=${hours} series=${shown} />`
      }
    </section>
  `;
}

/** @param {{ count: number, what: string, href: string }} properties */
function Attention({ count, what, href }) {
  return html`<li class=${count > 0 ? 'some' : 'none'}><a href=${href}><span class="number">${count.toLocaleString()}</span> ${what}</a></li>`;
}

/** @param {{ hours: readonly string[], series: readonly { name: string, by_hour: readonly number[] }[] }} properties */
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
