import { render } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { One } from './end-user.js';
import { List } from './end-users.js';
import { Events, OneEvent } from './events.js';
import { Find } from './find.js';
import { html } from './html.js';
import { parseRoute } from './model.js';
import { Overview } from './overview.js';
import { useStream } from './stream.js';

/** @import { EndUser, OnChange } from './model.js' */
/** @import { Live as Liveness } from './stream.js' */

function App() {
  const [hash, setHash] = useState(location.hash);
  const route = useMemo(() => parseRoute(hash), [hash]);
  const listeners = useRef(/** @type {Set<(changed: EndUser[]) => void>} */ (new Set()));
  const { live, version } = useStream((changed) => {
    for (const listener of listeners.current) listener(changed);
  });
  const onChange = useCallback(
    /** @type {OnChange} */ (
      (listener) => {
        listeners.current.add(listener);
        return () => listeners.current.delete(listener);
      }
    ),
    [],
  );
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
        <a href="#/end-users" aria-current=${route.view === 'list' ? 'page' : route.view === 'one' ? 'true' : undefined}>End users</a>
        <a href="#/events" aria-current=${route.view === 'events' ? 'page' : route.view === 'event' ? 'true' : undefined}>Webhooks</a>
      </nav>
      <${Search} key=${route.view === 'find' ? route.id : ''} id=${route.view === 'find' ? route.id : ''} />
      <${Live} live=${live} />
    </header>
    <main id="main" key=${hash} tabindex="-1">
      ${route.view === 'overview' && html`<${Overview} version=${version} onChange=${onChange} />`}
      ${route.view === 'list' && html`<${List} filter=${route.filter} version=${version} onChange=${onChange} />`}
      ${route.view === 'find' && html`<${Find} id=${route.id} version=${version} />`}
      ${route.view === 'one' && html`<${One} id=${route.id} version=${version} onChange=${onChange} />`}
      ${route.view === 'events' && html`<${Events} filter=${route.filter} version=${version} />`}
      ${route.view === 'event' && html`<${OneEvent} id=${route.id} />`}
      ${route.view === 'nowhere' && html`<h1 tabindex="-1">Nothing is here</h1><p><a href="#/">Overview</a></p>`}
    </main>
    <footer><a href="./openapi.json">Query API (OpenAPI)</a> <a href="./asyncapi.json">Events (AsyncAPI)</a></footer>
  `;
}

/** The hash is the route, so a link within the page must not change it. @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/** @param {{ live: Liveness }} properties */
function Live({ live }) {
  const text = {
    connecting: 'Connecting …',
    live: 'Live',
    blind: 'Changes cannot be seen just now',
    offline: 'Offline: trying again',
  }[live];
  return html`<p class="liveness is-${live}" role="status"><span class="dot" aria-hidden="true"></span>${text}</p>`;
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
      <input type="search" name="id" aria-label="Find an end user by heron_id or your own id, or a webhook by its id" placeholder="heron_id, your own id, or a webhook’s id" defaultValue=${id} autocomplete="off" spellcheck=${false} maxlength="1024" />
      <button>Find</button>
    </form>
  `;
}

const app = document.getElementById('app');
if (app !== null) {
  app.replaceChildren();
  render(html`<${App} />`, app);
}
