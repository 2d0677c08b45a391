import { useEffect, useMemo } from 'preact/hooks';
import { html } from './html.js';
import { linkTo } from './model.js';
import { Failure, Loading } from './parts.js';
import { Row } from './rows.js';
import { useAnswer } from './source.js';

/** @import { Batch } from './model.js' */
/** @import { Answer } from './source.js' */

/** @param {{ id: string, version: number }} properties */
export function Find({ id, version }) {
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
