import { useEffect, useRef } from 'preact/hooks';
import { html } from './html.js';
import { isFailure, linkToEvents, queryOfEvents } from './model.js';
import { Failure, Loading } from './parts.js';
import { useAnswer, useStats } from './source.js';
import { Event, Timeline } from './timeline.js';

/** @import { EventFilter, LoggedEvent, Stats } from './model.js' */
/** @import { Answer } from './source.js' */

/**
 * The log by topic, or what had no place.
 * @param {{ filter: EventFilter | null, version: number }} properties
 */
export function Events({ filter, version }) {
  const { data: stats } = useStats(version);
  const here = filter === null ? null : linkToEvents(filter);
  const topics = (stats?.events.topics ?? []).flatMap(({ topic }) => (topic === null ? [] : [topic])).sort();
  if (filter?.kind === 'topic' && !topics.includes(filter.topic)) topics.unshift(filter.topic);
  const chips = /** @type {{ name: string, to: EventFilter }[]} */ ([
    { name: 'without a place', to: { kind: 'unrouted' } },
    ...topics.map((topic) => ({ name: topic, to: { kind: 'topic', topic } })),
  ]);
  const nav = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    // On a phone they are in one line.
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [here, topics.length]);
  const choose = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const topic = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get('topic')).trim();
    if (topic !== '') location.hash = linkToEvents({ kind: 'topic', topic });
  };
  return html`
    <h1 tabindex="-1">Webhooks${filter?.kind === 'topic' && html`: ${filter.topic}`}${filter?.kind === 'unrouted' && ' without a place'}</h1>
    <nav class="chips long" aria-label="Topic" ref=${nav}>
      ${chips.map(({ name, to }) => html`<a class=${to.kind === 'topic' && isFailure(to.topic) ? 'is-failed' : ''} href=${linkToEvents(to)} aria-current=${linkToEvents(to) === here ? 'true' : undefined}>${name}</a>`)}
    </nav>
    <form class="choose" onSubmit=${choose}>
      <label>Another topic <input name="topic" autocomplete="off" spellcheck=${false} maxlength="1024" /></label>
      <button>Show</button>
    </form>
    ${filter === null && html`<p class="quiet">Choose a topic: its webhooks are listed here, those recorded last first.</p>`}
    ${filter?.kind === 'unrouted' && html`<p class="quiet">Of a topic that Heron does not document, of another shape, or about an end user that it does not name.</p>`}
    ${
      filter !== null &&
      html`<section aria-label="Webhooks" key=${here}><${Timeline} path=${`events${queryOfEvents(filter)}`} version=${`${version} ${countedIn(stats, filter)}`} what="webhooks" withEndUser /></section>`
    }
  `;
}

/** What changes where there are others: no stream tells of webhooks. @param {Stats | null} stats @param {EventFilter} filter */
const countedIn = (stats, filter) =>
  filter.kind === 'unrouted'
    ? stats?.events.unrouted
    : stats?.events.topics.find(({ topic }) => topic === filter.topic)?.total;

/** @param {{ id: string }} properties */
export function OneEvent({ id }) {
  const answer = /** @type {Answer<LoggedEvent>} */ (useAnswer(`events/${encodeURIComponent(id)}`, 0));
  const { data, error } = answer;
  return html`
    <p class="crumb"><a href="#/events">Webhooks</a></p>
    <h1 tabindex="-1">${data?.topic ?? 'Webhook'}</h1>
    <${Failure} of=${answer} stale=${data !== null} />
    ${data === null && error === null && html`<${Loading} what="the webhook" />`}
    ${
      data !== null &&
      html`<section aria-label="Webhook">
        <dl class="facts">
          <div class="long"><dt>id</dt><dd><code>${data.id}</code></dd></div>
        </dl>
        <ol class="timeline"><${Event} event=${data} withEndUser opened /></ol>
      </section>`
    }
  `;
}
