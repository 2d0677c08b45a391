import { useEffect, useRef, useState } from 'preact/hooks';
import { exact } from './model.js';

/** @import { Stats } from './model.js' */

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
 * @typedef {{ data: T | null, error: Refused | null, trying: boolean, again: () => void }} Answer
 * `trying`: what failed is asked for once more just now.
 */

/**
 * What a path answers, read again when `version` changes, and every so often after a failure: the last good answer is
 * kept meanwhile, but for one that the server takes back.
 * @param {string | null} path @param {unknown} version @param {RequestInit} [init]
 * @returns {Answer<unknown>}
 */
export function useAnswer(path, version, init) {
  const [state, setState] = useState(
    /** @type {{ path: string | null, data: unknown, error: Refused | null, trying: boolean }} */ ({
      ...NOTHING,
      path,
    }),
  );
  const again = useRepeated(path, version, async (isCurrent) => {
    setState(tried);
    try {
      const data = await read(path ?? '', init);
      if (isCurrent()) setState({ path, data, error: null, trying: false });
      return false;
    } catch (thrown) {
      const error = /** @type {Refused} */ (thrown);
      const keeps = (/** @type {typeof state} */ before) => before.path === path && mayPass(error);
      if (isCurrent()) setState((before) => ({ path, data: keeps(before) ? before.data : null, error, trying: false }));
      return mayPass(error);
    }
  });
  const { data, error, trying } = state.path === path ? state : NOTHING;
  return { data, error, trying, again };
}

const NOTHING = { data: null, error: null, trying: false };

/** @template {{ error: Refused | null, trying: boolean }} T @param {T} before @returns {T} */
const tried = (before) => (before.error === null ? before : { ...before, trying: true });

/** The server counts every 30 s at most; until then it answers that nothing is new. */
const STATS_MS = 5_000;

/** @type {Stats | null} */
let counted = null;

/**
 * What there is in numbers, read again and again. A view begins with what another had: only where its own are different
 * has something happened since.
 * @param {number} version @returns {Answer<Stats>}
 */
export function useStats(version) {
  const [round, setRound] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setRound((n) => n + 1), STATS_MS);
    return () => clearInterval(timer);
  }, []);
  const answer = /** @type {Answer<Stats>} */ (useAnswer('stats', `${version} ${round}`));
  const { data, error } = answer;
  if (data !== null) counted = data;
  return data === null && error === null ? { ...answer, data: counted } : answer;
}

/**
 * @template T
 * @typedef {{ items: readonly T[] | null, isAll: boolean, error: Refused | null, trying: boolean, again: () => void, more: () => void }} Pages
 */

const MOST_AT_ONCE = 200;
/** However much was asked for, and however much has come since. */
export const MOST_SHOWN = 500;

/**
 * A list that comes in pages: the first `size` items, and as many more as were asked for. When `version` changes all
 * that is shown is read again, so that nothing is lost from its middle, nor from its end once more was asked for.
 * @template T
 * @param {string} path @param {unknown} version @param {number} size
 * @param {(page: any) => T[]} itemsOf
 * @param {(found: readonly T[], shown: readonly T[]) => number} reach how many of what is found take in all that was
 *   shown; Infinity where what is found so far does not.
 * @param {{ onBegin: () => void, onRead: (items: readonly T[], isAll: boolean) => void }} [told] before it is shown.
 * @returns {Pages<T>}
 */
export function usePages(path, version, size, itemsOf, reach, told) {
  const [state, setState] = useState(
    /** @type {{ path: string, items: readonly T[] | null, isAll: boolean, error: Refused | null, trying: boolean }} */ ({
      ...UNREAD,
      path,
    }),
  );
  const wanted = useRef({ path, count: size });
  if (wanted.current.path !== path) wanted.current = { path, count: size };
  const { items, isAll, error, trying } = state.path === path ? state : UNREAD;
  const again = useRepeated(path, version, async (isCurrent) => {
    setState(tried);
    told?.onBegin();
    try {
      /** @type {T[]} */
      const found = [];
      /** @type {string | null} */
      let next = null;
      const needed = () => {
        const { count } = wanted.current;
        return count === size ? size : Math.min(MOST_SHOWN, Math.max(count, reach(found, items ?? [])));
      };
      do {
        const left = wanted.current.count - found.length;
        const parameters = new URLSearchParams({
          page_size: String(Math.min(MOST_AT_ONCE, Math.max(size, left))),
          ...(next === null ? {} : { page_token: next }),
        });
        const page = await read(`${path}${path.includes('?') ? '&' : '?'}${parameters}`);
        if (!isCurrent()) return false;
        found.push(...itemsOf(page));
        next = page.next_page_token;
      } while (next !== null && found.length < needed());
      const kept = found.slice(0, needed());
      const isAll = next === null && kept.length === found.length;
      told?.onRead(kept, isAll);
      setState({ path, items: kept, isAll, error: null, trying: false });
      return false;
    } catch (thrown) {
      const error = /** @type {Refused} */ (thrown);
      const keeps = (/** @type {typeof state} */ before) => before.path === path && mayPass(error);
      if (isCurrent()) setState((before) => ({ ...(keeps(before) ? before : UNREAD), path, error, trying: false }));
      return mayPass(error);
    }
  });
  const more = () => {
    wanted.current.count = Math.min(MOST_SHOWN, (items?.length ?? 0) + size);
    again();
  };
  return { items, isAll, error, trying, again, more };
}

const UNREAD = { items: null, isAll: false, error: null, trying: false };

/** The time, told again every so often. @param {number} everyMs */
export function useNow(everyMs) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
