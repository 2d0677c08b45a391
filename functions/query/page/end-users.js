import { html } from './html.js';
import { linkToList, STATUSES, words } from './model.js';
import { ALL, Rows } from './rows.js';

/** @import { Filter, OnChange } from './model.js' */

const PAGE_SIZE = 50;

/** @type {{ name: string, to: Filter }[]} */
const CHIPS = [
  { name: 'All', to: ALL },
  ...[...STATUSES, 'other'].map((status) => ({
    name: words(status),
    to: { kind: /** @type {const} */ ('status'), status },
  })),
  { name: 'review required', to: { kind: 'review' } },
  { name: 'failing', to: { kind: 'failing' } },
];

/** @param {{ filter: Filter, version: number, onChange: OnChange }} properties */
export function List({ filter, version, onChange }) {
  const here = linkToList(filter);
  return html`
    <h1 tabindex="-1">End users</h1>
    <nav class="chips" aria-label="Filter">
      ${CHIPS.map(({ name, to }) => html`<a href=${linkToList(to)} aria-current=${linkToList(to) === here ? 'true' : undefined}>${name}</a>`)}
    </nav>
    <${Rows} filter=${filter} size=${PAGE_SIZE} version=${version} onChange=${onChange} more=${true} />
  `;
}
