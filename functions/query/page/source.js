import { useEffect, useRef, useState } from 'preact/hooks';

/** An answer that is no success. */
export class Refused extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** @param {string} path @param {RequestInit} [init] */
export async function read(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new Refused(0, 'The server cannot be reached.');
  }
  const isJson = response.headers.get('content-type')?.includes('json');
  if (response.ok) return isJson ? response.json() : new Uint8Array(await response.arrayBuffer());
  throw new Refused(
    response.status,
    isJson ? (await response.json()).detail : `The server answered ${response.status}.`,
  );
}

/** How long after a failure it is tried again. */
const AGAIN_MS = 5_000;

/**
 * @template T
 * @typedef {{ data: T | null, error: Refused | null, again: () => void }} Answer
 */

/**
 * What a path answers, read again when `version` changes, and every so often after a failure: the last good answer is
 * kept meanwhile.
 * @param {string | null} path @param {unknown} version @param {RequestInit} [init]
 * @returns {Answer<unknown>}
 */
export function useAnswer(path, version, init) {
  const [state, setState] = useState(
    /** @type {{ path: string | null, data: unknown, error: Refused | null }} */ ({ path, data: null, error: null }),
  );
  const [tries, setTries] = useState(0);
  useEffect(() => {
    if (path === null) return;
    let current = true;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    read(path, init).then(
      (data) => current && setState({ path, data, error: null }),
      (error) => {
        if (!current) return;
        setState((before) => ({ path, data: before.path === path ? before.data : null, error }));
        if (error.status === 0 || error.status >= 500) timer = setTimeout(() => setTries((n) => n + 1), AGAIN_MS);
      },
    );
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [path, version, tries]);
  const fits = state.path === path;
  return { data: fits ? state.data : null, error: fits ? state.error : null, again: () => setTries((n) => n + 1) };
}

/**
 * Listens to the stream for as long as the page is open. `version` grows whenever all must be read again.
 * @param {(endUser: import('./model.js').EndUser) => void} onChange
 */
export function useStream(onChange) {
  const [live, setLive] = useState(/** @type {'connecting' | 'live' | 'offline'} */ ('connecting'));
  const [version, setVersion] = useState(0);
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => {
    /** @type {EventSource} */
    let source;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const open = () => {
      source = new EventSource('stream');
      source.addEventListener('refetch', () => {
        setLive('live');
        setVersion((n) => n + 1);
      });
      source.addEventListener('end_user', (event) => latest.current(JSON.parse(event.data)));
      source.onerror = () => {
        setLive('offline');
        // After an answer that is no stream the browser does not come back by itself.
        if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN_MS);
      };
    };
    open();
    return () => {
      clearTimeout(timer);
      source.close();
    };
  }, []);
  return { live, version };
}

/** The time, told again every so often. @param {number} everyMs */
export function useNow(everyMs) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
