import { useEffect, useRef, useState } from 'preact/hooks';
import { exact } from './model.js';

/** An answer that is not a success. */
export class Refused extends Error {
  /** @param {number} status 0 where there was no answer. @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The server gives up on its store sooner. */
const TIMEOUT_MS = 20_000;
/** How long after a failure it is tried again. */
const AGAIN_MS = 5_000;
/** From one reading to the next of the same, however often it changes. */
const PAUSE_MS = 500;

/** @param {string} path @param {RequestInit} [init] */
export async function read(path, init) {
  try {
    const response = await fetch(path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    if (response.ok) return isJson ? exact(await response.text()) : new Uint8Array(await response.arrayBuffer());
    const { detail } = isJson ? await response.json() : { detail: `The server answered ${response.status}.` };
    throw new Refused(response.status, detail);
  } catch (error) {
    if (error instanceof Refused) throw error;
    const isLate = error instanceof DOMException && error.name === 'TimeoutError';
    throw new Refused(
      0,
      isLate ? `The server did not answer within ${TIMEOUT_MS / 1_000} s.` : 'The server cannot be reached.',
    );
  }
}

/**
 * Does something at once, again when `version` changes, and a while after it failed; never twice at a time, and begun
 * anew for another `key`.
 * @param {string | null} key null: nothing is done.
 * @param {unknown} version
 * @param {(isCurrent: () => boolean) => Promise<boolean>} work resolves with whether to try again.
 * @returns {() => void} does it again now
 */
function useRepeated(key, version, work) {
  const latest = useRef(work);
  latest.current = work;
  const run = useRef(() => {});
  useEffect(() => {
    if (key === null) return;
    let [isCurrent, isRunning, isWanted] = [true, false, false];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const go = async () => {
      isWanted = true;
      if (isRunning) return;
      isRunning = true;
      clearTimeout(timer);
      while (isWanted && isCurrent) {
        isWanted = false;
        const failed = await latest.current(() => isCurrent);
        if (failed) timer = setTimeout(go, AGAIN_MS);
        else await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
      isRunning = false;
    };
    run.current = go;
    return () => {
      isCurrent = false;
      clearTimeout(timer);
      run.current = () => {};
    };
  }, [key]);
  useEffect(() => run.current(), [key, version]);
  return () => run.current();
}

/** @param {Refused} error */
const mayPass = ({ status }) => status === 0 || status >= 500;

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
  const again = useRepeated(path, version, (isCurrent) =>
    read(path ?? '', init).then(
      (data) => {
        if (isCurrent()) setState({ path, data, error: null });
        return false;
      },
      (error) => {
        if (isCurrent()) setState((before) => ({ path, data: before.path === path ? before.data : null, error }));
        return mayPass(error);
      },
    ),
  );
  const fits = state.path === path;
  return { data: fits ? state.data : null, error: fits ? state.error : null, again };
}

/**
 * @template T
 * @typedef {{ items: T[] | null, next: string | null, error: Refused | null, again: () => void, more: () => void }} Pages
 */

const MOST_AT_ONCE = 200;

/**
 * A list that comes in pages: the first `size` items, and as many more as were asked for. When `version` changes all
 * that is shown is read again, so that nothing is lost from its middle.
 * @template T
 * @param {string} path @param {unknown} version @param {number} size
 * @param {(page: any) => T[]} itemsOf
 * @param {(items: T[]) => void} [onRead] is told what was read, before it is shown.
 * @returns {Pages<T>}
 */
export function usePages(path, version, size, itemsOf, onRead) {
  const [state, setState] = useState(
    /** @type {{ path: string, items: T[] | null, next: string | null, error: Refused | null }} */ ({
      path,
      items: null,
      next: null,
      error: null,
    }),
  );
  const wanted = useRef({ path, count: size });
  if (wanted.current.path !== path) wanted.current = { path, count: size };
  const again = useRepeated(path, version, async (isCurrent) => {
    try {
      /** @type {T[]} */
      const items = [];
      /** @type {string | null} */
      let next = null;
      do {
        const parameters = new URLSearchParams({
          page_size: String(Math.min(MOST_AT_ONCE, Math.max(size, wanted.current.count - items.length))),
          ...(next === null ? {} : { page_token: next }),
        });
        const page = await read(`${path}${path.includes('?') ? '&' : '?'}${parameters}`);
        if (!isCurrent()) return false;
        items.push(...itemsOf(page));
        next = page.next_page_token;
      } while (next !== null && items.length < wanted.current.count);
      onRead?.(items);
      setState({ path, items, next, error: null });
      return false;
    } catch (error) {
      const refused = /** @type {Refused} */ (error);
      if (isCurrent()) setState((before) => ({ ...(before.path === path ? before : EMPTY), path, error: refused }));
      return mayPass(refused);
    }
  });
  const { items, next, error } = state.path === path ? state : EMPTY;
  const more = () => {
    wanted.current.count = (items?.length ?? 0) + size;
    again();
  };
  return { items, next, error, again, more };
}

const EMPTY = { items: null, next: null, error: null };

/** The time, told again every so often. @param {number} everyMs */
export function useNow(everyMs) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
