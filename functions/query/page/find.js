import { useEffect, useMemo } from 'preact/hooks';
import { html } from './html.js';
import { isEventId, linkTo, linkToEvent } from './model.js';
import { Failure, Loading } from './parts.js';
import { Row } from './rows.js';
import { useAnswer } from './source.js';

/** @import { Batch } from './model.js' */
/** @import { Answer } from './source.js' */

/** @param {{ id: string, version: number }} properties */
export function Find({ id, version }) {
  const init = useMemo(() => ({ method: 'POST', body: JSON.stringify({ ids: [id] }) }), [id]);
  const asked = id === '' || isEventId(id) ? null : './end-users:batchGet';
  const answer = /** @type {Answer<Batch>} */ (useAnswer(asked, `${id} ${version}`, init));
  const { data, error } = answer;
  const found = data?.results[0]?.end_users;
  const [only] = found ?? [];
  useEffect(() => {
    if (isEventId(id)) location.replace(linkToEvent(id));
    else if (found?.length === 1 && only !== undefined) location.replace(linkTo(only.heron_id));
  }, [id, found]);
  return html`
    <h1 tabindex="-1">Find</h1>
    <${Failure} of=${answer} />
    ${asked !== null && found === undefined && error === null && html`<${Loading} what="that id" />`}
    ${found?.length === 0 && html`<p class="empty">No end user has the id <code>${id}</code> now. <a href=${linkTo(id)}>Look for its webhooks all the same</a></p>`}
    ${
      found !== undefined &&
      found.length > 1 &&
      html`<p>${found.length.toLocaleString()} end users share the id <code>${id}</code>${data?.results[0]?.next_page_token !== undefined && ', and more'}:</p>
        <ul class="rows">${found.map((each) => html`<${Row} key=${each.heron_id} endUser=${each} />`)}</ul>`
    }
  `;
}
