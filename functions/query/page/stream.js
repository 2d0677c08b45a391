import { useEffect, useRef, useState } from 'preact/hooks';
import { exact } from './model.js';

/** @import { EndUser } from './model.js' */
/** @typedef {'connecting' | 'live' | 'blind' | 'offline'} Live whether changes are shown as they happen */
/** @typedef {{ live: Live } | { refetch: true } | { endUser: string }} News */

const NAME = 'heron-stream';
/** After an answer that is not a stream the browser does not come back by itself. */
const AGAIN_MS = 5_000;
/** The tab that listens says so this often; where it is not heard (a browser may put tabs to sleep), another takes over. */
const BEAT_MS = 10_000;
const SILENCE_MS = 25_000;
/** Changes are drawn this often at most, however many there are. */
const DRAW_MS = 200;

/**
 * Listens to the server's stream. Browsers open six connections to a host, and each stream holds one for good: so the
 * tabs of this page share one, which the tab that has the lock listens to and passes on.
 * @param {(news: News) => void} onNews
 * @returns {() => void} ends it
 */
function listen(onNews) {
  if (!('locks' in navigator)) return connect(onNews); // not over plain HTTP to another machine
  const channel = new BroadcastChannel(NAME);
  let heard = Date.now();
  /** @type {Live} */
  let live = 'connecting';
  let leads = false;
  /** @param {News} news */
  const tell = (news) => {
    if ('live' in news) live = news.live;
    channel.postMessage(news);
    onNews(news);
  };
  channel.onmessage = ({ data }) => {
    if (data === 'hello') return leads && channel.postMessage({ live });
    heard = Date.now();
    if (!leads) onNews(data);
  };

  let stop = () => {};
  let asking = new AbortController();
  let isOver = false;
  /** @param {boolean} steal */
  const lead = async (steal) => {
    asking.abort(); // one request at a time
    asking = new AbortController();
    const { signal } = asking;
    try {
      await navigator.locks.request(NAME, steal ? { steal } : { signal }, async () => {
        if (signal.aborted) return;
        leads = true;
        const say = () => channel.postMessage({ live });
        say();
        const disconnect = connect(tell);
        const beat = setInterval(say, BEAT_MS);
        // Until this tab closes, or another takes the lock away.
        await new Promise((_, lost) => {
          stop = () => {
            clearInterval(beat);
            disconnect();
            leads = false;
            heard = Date.now();
            lost();
          };
        });
      });
    } catch {
      if (signal.aborted) return;
      stop();
      if (!isOver) lead(false);
    }
  };
  lead(false);
  channel.postMessage('hello');
  const watch = setInterval(() => {
    if (leads || document.hidden || Date.now() - heard < SILENCE_MS) return;
    heard = Date.now();
    lead(true);
  }, BEAT_MS);
  return () => {
    isOver = true;
    asking.abort();
    clearInterval(watch);
    stop();
    channel.close();
  };
}

/** @param {(news: News) => void} onNews @returns {() => void} */
function connect(onNews) {
  /** @type {EventSource} */
  let source;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const open = () => {
    source = new EventSource('stream');
    source.addEventListener('refetch', () => {
      onNews({ live: 'live' });
      onNews({ refetch: true });
    });
    source.addEventListener('blind', () => onNews({ live: 'blind' }));
    source.addEventListener('end_user', ({ data }) => onNews({ endUser: data }));
    source.onerror = () => {
      onNews({ live: 'offline' });
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN_MS);
    };
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

/**
 * Listens for as long as the page is open. `version` grows whenever all must be read again.
 * @param {(changed: EndUser[]) => void} onChange told of several at once, each once, the last that changed first.
 */
export function useStream(onChange) {
  const [live, setLive] = useState(/** @type {Live} */ ('connecting'));
  const [version, setVersion] = useState(0);
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => {
    /** @type {Map<string, EndUser>} */
    const changed = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const draw = () => {
      timer = undefined;
      const all = [...changed.values()].reverse();
      changed.clear();
      latest.current(all);
    };
    const end = listen((news) => {
      if ('live' in news) setLive(news.live);
      else if ('refetch' in news) setVersion((n) => n + 1);
      else {
        const endUser = /** @type {EndUser} */ (exact(news.endUser));
        changed.delete(endUser.heron_id);
        changed.set(endUser.heron_id, endUser);
        timer ??= setTimeout(draw, DRAW_MS);
      }
    });
    return () => {
      clearTimeout(timer);
      end();
    };
  }, []);
  return { live, version };
}
