import { Component } from 'preact';
import { useEffect, useReducer, useRef } from 'preact/hooks';
import { html } from './html.js';
import { linkTo, linkToEvent, listed, queryOf, UNLISTED } from './model.js';
import { Failure, Foot, Loading, Standing, Time } from './parts.js';
import { MOST_SHOWN, usePages } from './source.js';

/** @import { EndUser, EndUserPage, Filter, Listed, ListNews, OnChange } from './model.js' */

/** @type {Filter} */
export const ALL = { kind: 'all' };

/**
 * End users, the last that changed first, which move as webhooks arrive, but not while somebody points at them.
 * @param {{ filter: Filter, size: number, version: number, more: boolean, onChange: OnChange }} properties
 */
export function Rows({ filter, size, version, more, onChange }) {
  /** Once more was asked for, what has come since pushes nothing out at the end. */
  const most = useRef(size);
  const [list, tell] = useReducer(
    (/** @type {Listed} */ before, /** @type {ListNews} */ news) => listed(before, news, filter, most.current),
    UNLISTED,
  );
  const { rows, shown, waiting } = list;
  const pages = usePages(
    `end-users${queryOf(filter)}`,
    version,
    size,
    (/** @type {EndUserPage} */ page) => page.end_users,
    () => rows?.length ?? 0,
    {
      onBegin: () => tell({ kind: 'begun' }),
      onRead: (read, isAll) => tell({ kind: 'read', read, more: !isAll }),
    },
  );
  useEffect(() => onChange((changed) => tell({ kind: 'changed', changed })), []);
  useEffect(() => {
    // Those that left the list have made room.
    if (rows !== null && list.more && rows.length < size / 2) pages.again();
  }, [rows]);
  const held = useRef({ pointer: false, focus: false });
  /** @param {Partial<{ pointer: boolean, focus: boolean }>} change */
  const hold = (change) => {
    Object.assign(held.current, change);
    const isHeld = held.current.pointer || held.current.focus;
    if (isHeld !== list.isHeld) tell({ kind: 'held', isHeld });
  };
  const showMore = () => {
    most.current = MOST_SHOWN;
    pages.more();
  };

  if (shown === null)
    return pages.error === null ? html`<${Loading} what="end users" />` : html`<${Failure} of=${pages} />`;
  return html`
    <${Failure} of=${pages} stale />
    ${shown.length === 0 && html`<${Nobody} filter=${filter} />`}
    <div
      class="list"
      onPointerEnter=${(/** @type {PointerEvent} */ { pointerType }) => pointerType === 'mouse' && hold({ pointer: true })}
      onPointerLeave=${() => hold({ pointer: false })}
      onFocusIn=${() => hold({ focus: true })}
      onFocusOut=${(/** @type {FocusEvent & { currentTarget: HTMLElement }} */ { currentTarget, relatedTarget }) => currentTarget.contains(/** @type {Node | null} */ (relatedTarget)) || hold({ focus: false })}
    >
      <p class="held">${waiting.length > 0 && `Held still while you are here: ${waiting.length.toLocaleString()} changed.`}</p>
      <ul class="rows">${shown.map((row) => html`<${Row} key=${row.heron_id} endUser=${row} />`)}</ul>
    </div>
    ${more && shown.length > 0 && html`<${Foot} shown=${shown.length} isAll=${!list.more} more=${showMore} button="Show more" />`}
  `;
}

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
