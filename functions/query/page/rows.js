import { Component } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { html } from './html.js';
import { linkTo, linkToEvent, merge, newer, queryOf, refresh } from './model.js';
import { Failure, Loading, Standing, Time } from './parts.js';
import { usePages } from './source.js';

/** @import { EndUser, EndUserPage, Filter, OnChange } from './model.js' */

/** @type {Filter} */
export const ALL = { kind: 'all' };

/**
 * End users, the last that changed first, which move as webhooks arrive, but not while somebody points at them.
 * @param {{ filter: Filter, size: number, version: number, more: boolean, onChange: OnChange }} properties
 */
export function Rows({ filter, size, version, more, onChange }) {
  const path = `end-users${queryOf(filter)}`;
  const [rows, setRows] = useState(/** @type {readonly EndUser[] | null} */ (null));
  const [waiting, setWaiting] = useState(0);
  /** What changed since the last reading began: it may have been overtaken. */
  const since = useRef(/** @type {EndUser[]} */ ([]));
  /** What changed while nothing may move. */
  const held = useRef({ pointer: false, focus: false, changed: /** @type {EndUser[]} */ ([]) });
  const limit = (/** @type {readonly EndUser[]} */ all) => (more ? all : all.slice(0, size));

  const pages = usePages(
    path,
    version,
    size,
    (/** @type {EndUserPage} */ page) => page.end_users,
    (/** @type {EndUser[]} */ read) => {
      const all = merge(read, newer(read, since.current), filter);
      since.current = [];
      setRows((before) => (before !== null && isHeld() ? refresh(before, all) : limit(all)));
    },
  );
  const isHeld = () => held.current.pointer || held.current.focus;
  useEffect(() => {
    since.current = [];
    held.current.changed = [];
    return onChange((changed) => {
      since.current = merge(since.current, changed, ALL).slice(0, MOST_KEPT);
      if (!isHeld()) return setRows((before) => before && limit(merge(before, changed, filter)));
      held.current.changed = merge(held.current.changed, changed, ALL).slice(0, MOST_KEPT);
      setWaiting(held.current.changed.length);
      setRows((before) => before && refresh(before, changed));
    });
  }, [path]);
  /** @param {Partial<{ pointer: boolean, focus: boolean }>} change */
  const hold = (change) => {
    Object.assign(held.current, change);
    const { changed } = held.current;
    if (isHeld() || changed.length === 0) return;
    held.current.changed = [];
    setWaiting(0);
    setRows((before) => before && limit(merge(before, changed, filter)));
  };

  const { next, error, again } = pages;
  if (rows === null)
    return error === null ? html`<${Loading} what="end users" />` : html`<${Failure} error=${error} again=${again} />`;
  return html`
    <${Failure} error=${error} again=${again} stale />
    ${rows.length === 0 && html`<${Nobody} filter=${filter} />`}
    <div
      class="list"
      onPointerEnter=${(/** @type {PointerEvent} */ { pointerType }) => pointerType === 'mouse' && hold({ pointer: true })}
      onPointerLeave=${() => hold({ pointer: false })}
      onFocusIn=${() => hold({ focus: true })}
      onFocusOut=${(/** @type {FocusEvent & { currentTarget: HTMLElement }} */ { currentTarget, relatedTarget }) => currentTarget.contains(/** @type {Node | null} */ (relatedTarget)) || hold({ focus: false })}
    >
      <p class="held" aria-hidden=${waiting === 0}>${waiting > 0 && `Held still while you are here: ${waiting.toLocaleString()} changed.`}</p>
      <ul class="rows">${rows.map((row) => html`<${Row} key=${row.heron_id} endUser=${row} />`)}</ul>
    </div>
    ${
      more &&
      rows.length > 0 &&
      html`<p class="foot" role="status">${rows.length.toLocaleString()} shown${next === null ? ', which is all' : '; there are more'}</p>
        ${next !== null && html`<button class="wide" onClick=${pages.more}>Show more</button>`}`
    }
  `;
}

/** More changes than these between two readings, and the next reading has them. */
const MOST_KEPT = 1_000;

/** @param {{ filter: Filter }} properties */
function Nobody({ filter }) {
  return html`<p class="quiet empty">${filter.kind === 'all' ? 'No webhook has named an end user yet. The first is shown here as it arrives.' : 'No end user stands here now. One that comes to is shown at once.'}</p>`;
}

/**
 * Drawn again only where its end user is another: of a hundred rows one changes at a time.
 * @extends {Component<{ endUser: EndUser }>}
 */
export class Row extends Component {
  /** @type {HTMLElement | null} */
  element = null;

  /** @param {{ endUser: EndUser }} next */
  shouldComponentUpdate({ endUser }) {
    return endUser !== this.props.endUser;
  }

  /** @param {{ endUser: EndUser }} before */
  componentDidUpdate({ endUser: before }) {
    const { endUser } = this.props;
    const moves = matchMedia('(prefers-reduced-motion: no-preference)').matches;
    if (moves && endUser.event_count !== before.event_count)
      this.element?.animate([{ backgroundColor: 'var(--changed)' }, {}], { duration: 2_000, easing: 'ease-out' });
  }

  render() {
    const { endUser } = this.props;
    const { heron_id, end_user_id, last_event, last_event_at, event_count } = endUser;
    return html`
      <li data-heron-id=${heron_id} ref=${(/** @type {HTMLElement | null} */ element) => {
        this.element = element;
      }}>
        <a class="who" href=${linkTo(heron_id)}><strong>${end_user_id ?? heron_id}</strong>${end_user_id !== null && html`<span class="quiet id">${heron_id}</span>`}</a>
        <span class="standing"><${Standing} ...${endUser} /></span>
        <a class="what quiet" href=${linkToEvent(last_event.id)}>${last_event.topic ?? 'no topic'}</a>
        <span class="when"><${Time} of=${last_event_at} /></span>
        <span class="count quiet">${event_count.toLocaleString()} ${event_count === 1 ? 'event' : 'events'}</span>
      </li>
    `;
  }
}
