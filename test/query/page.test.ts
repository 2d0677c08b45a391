import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it as plainIt } from 'vitest';
import { clock, stopwatch } from '../../functions/clock.ts';
import { eventOf } from '../../functions/events/event.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import type { StatsAnswer } from '../../functions/query/answers.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { until } from '../until.ts';
import { chromiumPath, launch, violations } from './browser.ts';
import { cutConnections, serve, stopServing } from './serving.ts';

/** With SCREENSHOTS=1 those of the README are made anew. */
const SCREENSHOTS = process.env.SCREENSHOTS ? ['overview-1280-light', 'end-users-390-dark', 'end-user-1280-dark'] : [];
const HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)>';
const MAX_WIRE_BYTES = 70_000;

/** Where the machine is busy a browser takes its time: nothing here is about speed. */
const PATIENCE_MS = 180_000;
/** Sooner over than the test, so that it says what it waited for. */
const WAIT_MS = 120_000;

/** In the page: a clock, and what is done every 10 s, that go only when `pass(seconds)` says so. */
const OWN_TIME = `
  let now = Date.now();
  Date.now = () => now;
  const beats = new Map();
  const { setInterval: every, clearInterval: end } = window;
  window.setInterval = (work, ms) => {
    const id = every(ms === 10_000 ? () => {} : work, ms);
    if (ms === 10_000) beats.set(id, work);
    return id;
  };
  window.clearInterval = (id) => {
    beats.delete(id);
    end(id);
  };
  window.pass = (seconds) => {
    for (; seconds > 0; seconds -= 10) {
      now += 10_000;
      for (const work of [...beats.values()]) work();
    }
  };`;

/** A query API of its own, and what Heron sends. */
type World = {
  readonly url: string;
  /** Resolves with the end user's heron_id. */
  readonly send: (topic: string, endUser: string, fields?: Record<string, unknown>) => Promise<string>;
  readonly forget: (heronId: string) => Promise<unknown>;
};

async function world(): Promise<World> {
  const store = new MemoryStore(clock);
  let sent = 0;
  return {
    forget: (heronId) => store.forget(heronId, 'test'),
    url: `${await serve({ store, log: () => {}, clock, stopwatch })}/`,
    async send(topic, endUser, { created = 0, ...others } = {}) {
      const webhook = { ...sampleWebhook(topic, endUser, Date.now() + Number(created), sent++ % 1_000), ...others };
      await store.append([eventOf(Buffer.from(JSON.stringify(webhook)), instantOf(Date.now()))]);
      return (webhook.data as { heron_id: string }).heron_id;
    },
  };
}

/** One with something of everything. */
async function fullWorld(): Promise<World> {
  const all = await world();
  const { send } = all;
  for (let i = 0; i < 56; i++) await send('end_user.created', `quiet-${i}`, { created: i - 200_000 });
  const steps = ['created', 'processed', 'review_required', 'reviewed', 'failed', 'transactions_updated'];
  const names = [
    'Alder Bakery',
    'Birch & Sons',
    'Cedar Ltd',
    'Dogwood GmbH',
    'Elm Logistics',
    'Fir Foods',
    'Gorse Café',
  ];
  for (const [n, name] of names.entries())
    for (const [i, step] of steps.slice(0, 1 + ((n * 2) % 5)).entries())
      await send(`end_user.${step}`, name, { created: n * 900 + i * 140 - 9_000 });
  for (const topic of ['transactions.updated', 'transactions.updated', 'end_user.transactions_loaded', 'nobody.knows'])
    await send(topic, 'Alder Bakery');
  await send('end_user.processed', HOSTILE, { meta: { note: HOSTILE } });
  const data = { heron_id: 'eus_archived', end_user_id: 'Archived Company', status: 'archived' };
  await send('end_user.processed', 'Archived Company', { data });
  return all;
}

type Opening = { readonly options?: BrowserContextOptions; readonly before?: (page: Page) => Promise<unknown> };
type Open = (of: World, hash: string, opening?: Opening) => Promise<Page>;

let browser: Browser;

/** Opens pages that are closed after the test, which fails where one does what a page must never do. */
const it = plainIt.extend<{ open: Open }>({
  // biome-ignore lint/correctness/noEmptyPattern: a fixture says so that it needs no other
  open: async ({}, use) => {
    const pages: Page[] = [];
    const wrongs: string[] = [];
    await use(async ({ url }, hash, { options = {}, before = async () => {} } = {}) => {
      const page = await (await browser.newContext(options)).newPage();
      pages.push(page);
      page.setDefaultTimeout(WAIT_MS);
      page.on('console', (message) => {
        const meant = /Failed to load resource|ERR_FAILED|Synchronous XMLHttpRequest/.test(message.text());
        if (['error', 'warning'].includes(message.type()) && !meant) wrongs.push(message.text());
      });
      page.on('pageerror', (error) => wrongs.push(String(error)));
      page.on('dialog', (dialog) => wrongs.push(dialog.message()));
      page.on('request', (request) => {
        if (!request.url().startsWith(url) && !request.url().startsWith('data:')) wrongs.push(request.url());
      });
      await before(page);
      await page.goto(`${url}${hash}`);
      return page;
    });
    for (const page of pages) {
      if (!page.isClosed()) await page.unrouteAll({ behavior: 'ignoreErrors' }); // a request may be on its way
      await page.context().close();
    }
    expect(wrongs).toEqual([]);
  },
});

const rows = (page: Page) => page.locator('.rows > li');
const row = (page: Page, name: string) => page.locator('.rows > li', { hasText: name });
const shown = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor();
const stands = (page: Page, name: string, status: string) =>
  row(page, name).getByText(status, { exact: true }).waitFor();
const noted = (webhooks: Page) => webhooks.locator('.timeline > li');

describe.skipIf(chromiumPath === null).concurrent('the page', { timeout: PATIENCE_MS }, () => {
  let all: World;

  beforeAll(async () => {
    [all, browser] = await Promise.all([fullWorld(), launch()]);
  });
  afterAll(async () => {
    await browser?.close();
    stopServing();
  });

  it('shows a row change as the webhook arrives, without reload', async ({ open }) => {
    const own = await world();
    const page = await open(own, '#/end-users');
    await shown(page, 'Live');
    await page.evaluate('window.same = true');
    await own.send('end_user.created', 'Live Company');
    await stands(page, 'Live Company', 'new');
    await own.send('end_user.created', 'Another Company');
    await own.send('end_user.failed', 'Live Company');
    await stands(page, 'Live Company', 'failed');
    expect(await rows(page).first().textContent()).toContain('Live Company');
    expect(await page.evaluate('window.same')).toBe(true);
  });

  it('moves rows in and out of what is filtered', async ({ open }) => {
    const own = await world();
    const page = await open(own, '#/end-users?status=reviewed');
    await shown(page, 'Live');
    await own.send('end_user.reviewed', 'Moving Company');
    await row(page, 'Moving Company').waitFor();
    await own.send('end_user.failed', 'Moving Company');
    await row(page, 'Moving Company').waitFor({ state: 'detached' });
  });

  it('of what is filtered reads more where those that left have made room', async ({ open }) => {
    const own = await world();
    for (let n = 0; n < 60; n++) await own.send('end_user.created', `company-${n}`);
    const page = await open(own, '#/end-users?status=new');
    await shown(page, '50 shown; there are more');
    for (let n = 59; n >= 30; n--) await own.send('end_user.processed', `company-${n}`);
    await shown(page, '30 shown, which is all');
    await row(page, 'company-0').first().waitFor();
  });

  it('draws no row but those that change, however many do', async ({ open }) => {
    const own = await world();
    for (let n = 0; n < 60; n++) await own.send('end_user.created', `company-${n}`);
    const page = await open(own, '#/end-users');
    await shown(page, '50 shown; there are more');
    await shown(page, 'Live');
    await page.evaluate(`import('/assets/rows.js').then(({ Row }) => {
      const { render } = Row.prototype;
      window.drawn = [];
      Row.prototype.render = function () {
        drawn.push(this.props.endUser.end_user_id);
        return render.call(this);
      };
    })`);
    const changing = Array.from({ length: 12 }, (_, n) => `company-${40 + n}`);
    const changes = 480;
    for (let n = 0; n < changes; n++) await own.send('end_user.updated', changing[n % changing.length] ?? '');
    await own.send('end_user.failed', 'company-40');
    await stands(page, 'company-40', 'failed');
    const drawn = (await page.evaluate('drawn')) as string[];
    expect(new Set(drawn)).toEqual(new Set(changing));
    expect(drawn.length).toBeLessThanOrEqual(changes + 1);
  });

  it('keeps what was told where a reading ends that began before', async ({ open }) => {
    const own = await world();
    for (const name of ['Overtaking Company', 'Other Company']) await own.send('end_user.updated', name);
    const held: (() => Promise<void>)[] = [];
    let isHolding = false;
    const page = await open(own, '#/end-users', {
      before: (each) =>
        each.route('**/end-users?*', async (route) => {
          const response = await route.fetch();
          const answer = () => route.fulfill({ response });
          if (isHolding) held.push(answer);
          else await answer();
        }),
    });
    await shown(page, 'Live');
    await row(page, 'Overtaking Company').waitFor();
    isHolding = true;
    cutConnections(own.url);
    await own.send('end_user.failed', 'Other Company'); // which only a reading can tell
    await until(() => held.length > 0);
    await shown(page, 'Live');
    await own.send('end_user.processed', 'Overtaking Company');
    await stands(page, 'Overtaking Company', 'processed');
    isHolding = false;
    for (const answer of held) await answer().catch(() => {}); // but those that were given up
    await stands(page, 'Other Company', 'failed');
    await stands(page, 'Overtaking Company', 'processed');
    await expect.poll(() => rows(page).first().textContent(), { timeout: 20_000 }).toContain('Overtaking Company');
  });

  it('shows more of a list for good: also after it was cut off, and as others come', async ({ open }) => {
    const own = await world();
    for (let n = 0; n < 130; n++) await own.send('end_user.created', `company-${n}-`);
    const page = await open(own, '#/end-users');
    await shown(page, '50 shown; there are more');
    await shown(page, 'Live');
    await page.getByRole('button', { name: 'Show more' }).click();
    await shown(page, '100 shown; there are more');
    await page.getByRole('searchbox').hover(); // nothing moves under the mouse
    cutConnections(own.url);
    await own.send('end_user.failed', 'company-10-'); // beyond those: only a reading tells of it
    await stands(page, 'company-10-', 'failed');
    await own.send('end_user.created', 'Newcomer');
    await row(page, 'Newcomer').waitFor();
    const names = await page.locator('.rows strong').allTextContents();
    const others = Array.from({ length: 100 }, (_, n) => `company-${129 - n}-`);
    expect(names).toEqual(expect.arrayContaining(['Newcomer', 'company-10-', ...others.slice(0, -1)]));
    expect(names.slice(0, 3)).toEqual(['Newcomer', 'company-10-', 'company-129-']);
    for (let n = 0; n < 5; n++) await own.send('end_user.created', `late-${n}`);
    await row(page, 'late-4').waitFor();
    expect((await page.locator('.rows strong').allTextContents()).slice(5)).toEqual(names);
    await shown(page, /there are more$/);
  });

  it('shows older events of a history for good: none falls out of its middle or its end', async ({ open }) => {
    const own = await world();
    const heronId = await own.send('end_user.created', 'Long Company', { created: -1_000_000 });
    for (let n = 1; n < 60; n++) await own.send('end_user.updated', 'Long Company', { created: n * 1_000 - 900_000 });
    const page = await open(own, `#/end-users/${heronId}`);
    await shown(page, '25 shown; there are more');
    await shown(page, 'Live');
    await page.getByRole('button', { name: 'Show older' }).click();
    await shown(page, '50 shown; there are more');
    const links = () =>
      page.locator('.timeline .topic').evaluateAll((all) => all.map((each) => each.getAttribute('href')));
    const before = await links();
    await own.send('end_user.processed', 'Long Company');
    await shown(page, '51 shown; there are more');
    expect((await links()).slice(1)).toEqual(before);
    cutConnections(own.url);
    await own.send('end_user.updated', 'Long Company', { created: -870_500 }); // late, and in the middle of the rest
    await own.send('end_user.failed', 'Long Company');
    await page.locator('.large').getByText('failed').waitFor();
    await shown(page, '53 shown; there are more');
    expect((await links()).filter((link) => before.includes(link))).toEqual(before);
    await page.getByRole('button', { name: 'Show older' }).click();
    await shown(page, '63 shown, which is all');
    expect((await links()).filter((link) => before.includes(link))).toEqual(before);
  });

  it('finds by either id, lists those that share one, and says when there is none', async ({ open }) => {
    const own = await world();
    const heronId = await own.send('end_user.created', 'find/me ü');
    for (const heron_id of ['eus_twinone', 'eus_twintwo'])
      await own.send('end_user.created', heron_id, { data: { heron_id, end_user_id: 'twins' } });
    const page = await open(own, '');
    const find = async (id: string) => {
      await page.getByRole('searchbox').fill(id);
      await page.getByRole('searchbox').press('Enter');
    };
    for (const id of [heronId, 'find/me ü']) {
      await find(id);
      await page.getByRole('heading', { level: 1, name: 'find/me ü' }).waitFor();
      expect(new URL(page.url()).hash).toBe(`#/end-users/${heronId}`);
      await page.goto(`${own.url}#/`);
    }
    await find('twins');
    await shown(page, '2 end users share the id');
    await find('nobody at all');
    await shown(page, 'No end user has the id');
  });

  it('shows an end user’s history, grows it live, and bodies on demand', async ({ open }) => {
    const own = await world();
    const heronId = await own.send('end_user.created', 'Timeline Company', { created: -5_000 });
    const page = await open(own, `#/end-users/${heronId}`);
    await shown(page, '1 shown, which is all');
    await own.send('end_user.processed', 'Timeline Company', { meta: { plan: 'gold' } });
    await shown(page, '2 shown, which is all');
    await page.locator('.large').getByText('processed').waitFor();
    await page.getByRole('button', { name: /^Body of end_user.processed/ }).click();
    await page.locator('pre.body', { hasText: '"plan": "gold"' }).waitFor();
    await shown(page, /recorded after/);
    const time = page.locator('.timeline time').first();
    expect(await time.getAttribute('title')).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? UTC$/);
  });

  it('shows a payload full of markup as text', async ({ open }) => {
    const page = await open(all, `#/find?${new URLSearchParams({ id: HOSTILE })}`);
    await page.getByRole('heading', { level: 1, name: HOSTILE }).waitFor();
    await page
      .getByRole('button', { name: /^Body of/ })
      .first()
      .click();
    await page.locator('pre.body', { hasText: HOSTILE.slice(0, 20) }).waitFor();
    expect(await page.title()).not.toBe('taken');
    expect(await page.locator('main script, main img').count()).toBe(0);
  });

  it('tells of nothing, of what is unknown, of failures, and recovers', async ({ open }) => {
    const page = await open(all, '#/end-users?status=ready');
    await shown(page, 'No end user stands here now');
    await page.goto(`${all.url}#/end-users/eus_nobody`);
    await shown(page, 'No end user has this heron_id');
    await page.goto(`${all.url}#/nothing/here`);
    await shown(page, 'Nothing is here');

    let down = true;
    const broken = await open(all, '', {
      before: (each) =>
        each.route(/\/(stats|stream|end-users)(?!\.js)/, (route) => (down ? route.abort() : route.continue())),
    });
    await shown(broken, 'Offline: trying again');
    await shown(broken, 'The server cannot be reached.');
    await broken.getByRole('button', { name: 'Try again' }).first().click();
    down = false;
    await shown(broken, /webhooks in 24 hours/);
    await shown(broken, 'Live');
  });

  it('says that the server does not answer once 20 s are over, and asks again when it is told to', async ({ open }) => {
    const own = await world();
    await own.send('end_user.created', 'Waiting Company');
    const asked: Route[] = [];
    const page = await open(own, '#/end-users', {
      before: async (each) => {
        // Time passes when the test says so.
        await each.addInitScript(`
          window.deadlines = [];
          AbortSignal.timeout = (ms) => {
            const controller = new AbortController();
            deadlines.push({ ms, end: () => controller.abort(new DOMException('', 'TimeoutError')) });
            return controller.signal;
          };`);
        await each.route('**/stream', () => {}); // nor does it tell of anything
        await each.route('**/end-users?*', (route) => void asked.push(route));
      },
    });
    await until(() => asked.length === 1);
    await shown(page, 'Loading end users …');
    expect(await page.evaluate('deadlines.map(({ ms }) => ms)')).toEqual([20_000]);
    await page.evaluate('deadlines[0].end()');
    await shown(page, 'The server did not answer within 20 s.');
    await page.getByRole('button', { name: 'Try again' }).click();
    await shown(page, 'Trying again …');
    await until(() => asked.length === 2);
    await asked[1]?.continue();
    await row(page, 'Waiting Company').waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  it('forgets on the screen, too, whom the server has forgotten', async ({ open }) => {
    const own = await world();
    const heronId = await own.send('end_user.created', 'Company to forget');
    const page = await open(own, `#/end-users/${heronId}`);
    await page.locator('.large').getByText('new').waitFor();
    await own.forget(heronId);
    await shown(page, 'No end user has this heron_id');
    expect(await page.getByText('Company to forget').count()).toBe(0);
  });

  it('is worked by keyboard', async ({ open }) => {
    const page = await open(all, '');
    await shown(page, 'All end users');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
    await page.locator('.rows a').first().focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'History' }).waitFor();
    expect(await page.evaluate('document.activeElement.tagName')).toBe('H1');
  });

  /** Counts how often a page of a context listens. */
  const countingStreams = (streams: string[]) => async (page: Page) => {
    page.context().on('request', (request) => {
      if (new URL(request.url()).pathname === '/stream') streams.push(request.url());
    });
  };
  const anotherTab = async (page: Page, before: (tab: Page) => Promise<unknown> = async () => {}) => {
    const tab = await page.context().newPage();
    tab.setDefaultTimeout(WAIT_MS);
    await before(tab);
    await tab.goto(page.url());
    return tab;
  };

  /** The page does nothing at all until it has an answer. Resolves with what gives it one. */
  const freeze = async (page: Page) => {
    const asked = new Promise<Route>((resolve) => page.route('**/stats?frozen', resolve));
    const frozen = page.evaluate(`{
      const request = new XMLHttpRequest();
      request.open('GET', 'stats?frozen', false);
      request.send();
    }`);
    const route = await asked;
    return async () => {
      await route.abort().catch(() => {});
      await frozen.catch(() => {});
    };
  };

  const leader = (page: Page) => page.evaluate('navigator.locks.query().then(({ held }) => held[0]?.clientId)');

  it('in eight tabs listens once, and another tab takes over where the one that listens is closed', async ({
    open,
  }) => {
    const own = await world();
    const streams: string[] = [];
    const first = await open(own, '#/end-users', { before: countingStreams(streams) });
    await shown(first, 'Live');
    // A browser opens six connections to a server: with a stream each the seventh tab would load for ever.
    const others = await Promise.all(Array.from({ length: 7 }, () => anotherTab(first)));
    for (const tab of others) await shown(tab, 'Live');
    await own.send('end_user.processed', 'Company of Tabs');
    for (const tab of [first, ...others]) await stands(tab, 'Company of Tabs', 'processed');
    expect(streams.length).toBe(1);
    await first.close();
    await own.send('end_user.failed', 'Company of Tabs');
    for (const tab of others) await stands(tab, 'Company of Tabs', 'failed');
    expect(streams.length).toBe(2);
  });

  it('has another tab take over where the one that listens has crashed', async ({ open }) => {
    const own = await world();
    const streams: string[] = [];
    const first = await open(own, '#/end-users', { before: countingStreams(streams) });
    await shown(first, 'Live');
    const other = await anotherTab(first);
    await shown(other, 'Live');
    const session = await first.context().newCDPSession(first);
    session.send('Page.crash').catch(() => {}); // nobody is left to answer that
    await first.waitForEvent('crash');
    await own.send('end_user.failed', 'Company of the crash');
    await stands(other, 'Company of the crash', 'failed');
    expect(streams.length).toBe(2);
  });

  it('has another tab take over from one that is frozen for 25 s, and keep that when it thaws', async ({ open }) => {
    const own = await world();
    await own.send('end_user.created', 'Frozen Company');
    const streams: string[] = [];
    const ownTime = async (page: Page) => void (await page.addInitScript(OWN_TIME));
    const pass = (page: Page, seconds: number) => page.evaluate(`pass(${seconds})`);
    const first = await open(own, '#/end-users', {
      before: async (page) => {
        await countingStreams(streams)(page);
        await ownTime(page);
      },
    });
    await shown(first, 'Live');
    const other = await anotherTab(first, ownTime);
    await shown(other, 'Live');
    await pass(first, 60); // it has listened for a while
    const thaw = await freeze(first);
    await own.send('end_user.processed', 'Frozen Company');
    const before = await leader(other);
    await pass(other, 20);
    expect(await leader(other)).toBe(before);
    await pass(other, 10);
    expect(await leader(other)).not.toBe(before);
    await stands(other, 'Frozen Company', 'processed');
    expect(streams.length).toBe(2);

    await thaw();
    await stands(first, 'Frozen Company', 'processed');
    await pass(first, 10);
    await own.send('end_user.failed', 'Frozen Company');
    for (const tab of [first, other]) await stands(tab, 'Frozen Company', 'failed');
    expect(streams.length).toBe(2);
  });

  it('moves no row while the keyboard is in the list, and keeps the focus where its row changes', async ({ open }) => {
    const own = await world();
    const page = await open(own, '#/end-users');
    await shown(page, 'Live');
    await own.send('end_user.created', 'Held Company');
    await row(page, 'Held Company').waitFor();
    await row(page, 'Held Company').locator('a').first().focus();
    await own.send('end_user.created', 'Company After Focus');
    await shown(page, 'Held still while you are here: 1 changed.');
    await own.send('end_user.failed', 'Held Company');
    await stands(page, 'Held Company', 'failed');
    expect(await page.evaluate('document.activeElement.textContent')).toContain('Held Company');
    expect(await rows(page).first().textContent()).toContain('Held Company');
    expect(await row(page, 'Company After Focus').count()).toBe(0);
    await page.getByRole('searchbox').focus();
    await row(page, 'Company After Focus').waitFor();
  });

  it('moves no row under the mouse, not by reading either, and catches up as it leaves', async ({ open }) => {
    const own = await world();
    const page = await open(own, '#/end-users');
    await shown(page, 'Live');
    await own.send('end_user.created', 'Pointed Company');
    await row(page, 'Pointed Company').hover();
    await own.send('end_user.created', 'Company After Mouse');
    await shown(page, 'Held still while you are here: 1 changed.');
    cutConnections(own.url);
    await own.send('end_user.created', 'Unheard Company');
    await shown(page, 'Held still while you are here: 2 changed.');
    expect(await rows(page).allTextContents()).toEqual([expect.stringContaining('Pointed Company')]);
    await page.getByRole('searchbox').hover();
    await row(page, 'Unheard Company').waitFor();
    expect(await page.locator('.rows strong').allTextContents()).toEqual([
      'Unheard Company',
      'Company After Mouse',
      'Pointed Company',
    ]);
  });

  it('leads from the overview to a webhook without a place, and finds it by its id', async ({ open }) => {
    const page = await open(all, '');
    await page.getByRole('link', { name: /webhooks without a place in 24 hours$/ }).click();
    await page.getByRole('heading', { level: 1, name: 'Webhooks without a place' }).waitFor();
    const webhook = noted(page).filter({ hasText: 'nobody.knows' });
    await webhook.getByText('Without a place: ').waitFor();
    await webhook.getByRole('link', { name: 'nobody.knows' }).click();
    await page.getByRole('heading', { level: 1, name: 'nobody.knows' }).waitFor();
    const { hash } = new URL(page.url());
    expect(hash).toMatch(/^#\/events\/[0-9a-f]{64}$/);
    await page.goto(`${all.url}#/`);
    await page.getByRole('searchbox').fill(hash.slice('#/events/'.length));
    await page.getByRole('searchbox').press('Enter');
    await page.getByRole('heading', { level: 1, name: 'nobody.knows' }).waitFor();
    expect(new URL(page.url()).hash).toBe(hash);
    await page.locator('pre.body', { hasText: 'nobody.knows' }).waitFor();
  });

  it('reads the webhooks of a topic once where one comes from the overview, and again once more are counted', async ({
    open,
  }) => {
    const own = await world();
    await own.send('pdf.failed', 'A Company');
    const log: string[] = [];
    const page = await open(own, '', {
      before: async (each) => {
        each.on('request', (request) => {
          if (request.url().includes('/events?topic=')) log.push('read');
        });
        await each.route('**/stats', async (route) => {
          const response = await route.fetch();
          const stats = (await response.json()) as StatsAnswer;
          const isSecond = log.includes('read') && log.at(-1) === 'the same';
          const topics = stats.events.topics.map((topic) => ({ ...topic, total: topic.total + Number(isSecond) }));
          if (log.includes('read')) log.push(isSecond ? 'more' : 'the same');
          await route.fulfill({ response, json: { ...stats, events: { ...stats.events, topics } } });
        });
      },
    });
    await shown(page, 'Live'); // what begins to listen reads anew
    await page.getByRole('link', { name: 'pdf.failed in 24 hours' }).click();
    await until(() => log.at(-1) === 'read' && log.includes('more'));
    expect(log.slice(0, 4)).toEqual(['read', 'the same', 'more', 'read']);
  });

  it('leads from the overview to end users of a status that Heron does not document', async ({ open }) => {
    const page = await open(all, '');
    await page.getByRole('link', { name: /^other/ }).click();
    await stands(page, 'Archived Company', 'archived');
    expect(await rows(page).count()).toBe(1);
  });

  it('lets nothing cover anything else, whatever the status and however wide', async ({ open }) => {
    const own = await world();
    const status = 'archived_by_'.repeat(80);
    const data = { heron_id: 'eus_long', end_user_id: 'Company of a name '.repeat(10), status };
    await own.send('end_user.updated', 'x', { data });
    const page = await open(own, '#/end-users');
    await row(page, 'Company of a name').waitFor();
    await shown(page, 'Live');
    await row(page, 'Company of a name').hover();
    await own.send('end_user.failed', 'Two Flags', { data: { heron_id: 'eus_flags', status: 'reviewed_again' } });
    await own.send('end_user.review_required', 'Two Flags', { data: { heron_id: 'eus_flags', status: 'odd' } });
    await shown(page, /^Held still/);
    const covered = () =>
      page.evaluate(`[...document.querySelectorAll('.chips > a, .rows > li > *, .rows .status, .rows .flag, .held')]
        .filter((each, i, all) => all.some((other) => {
          if (each === other || each.contains(other) || other.contains(each)) return false;
          const [a, b] = [each.getBoundingClientRect(), other.getBoundingClientRect()];
          return a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
        }))
        .map((each) => each.className + ': ' + each.textContent)`);
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await covered()).toEqual([]);
      await page.getByRole('searchbox').hover();
      await row(page, 'eus_flags').waitFor();
      expect(await covered()).toEqual([]);
    }
  });

  it('lists those that share a customer’s id where one is asked for by it', async ({ open }) => {
    const own = await world();
    for (const heron_id of ['eus_twinone', 'eus_twintwo'])
      await own.send('end_user.created', heron_id, { data: { heron_id, end_user_id: 'twins' } });
    const page = await open(own, '#/end-users/twins');
    await row(page, 'eus_twinone').waitFor();
    await row(page, 'eus_twintwo').locator('a').first().click();
    await page.getByRole('heading', { name: 'History' }).waitFor();
  });

  it('takes less than 70 kB to load, nothing of it from elsewhere', async ({ open }) => {
    const assets = new Set<string>();
    let bytes = 0;
    const page = await open(all, '', {
      before: async (each) => {
        const session = await each.context().newCDPSession(each);
        await session.send('Network.enable');
        session.on('Network.responseReceived', ({ requestId, response }) => {
          if (/\/(assets\/.*)?$/.test(new URL(response.url).pathname)) assets.add(requestId);
        });
        session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
          if (assets.has(requestId)) bytes += encodedDataLength;
        });
      },
    });
    await shown(page, 'webhooks in 24 hours');
    expect(assets.size).toBeGreaterThan(5);
    expect(bytes).toBeLessThan(MAX_WIRE_BYTES);
  });

  const VIEWS: Readonly<Record<string, { readonly hash: string; readonly ready: (page: Page) => Promise<unknown> }>> = {
    overview: { hash: '#/', ready: (page) => page.locator('.plot canvas').waitFor() },
    'end-users': { hash: '#/end-users', ready: (page) => rows(page).first().waitFor() },
    'end-user': {
      hash: `#/find?id=${encodeURIComponent('Cedar Ltd')}`,
      ready: async (page) => {
        await page
          .getByRole('button', { name: /^Body of/ })
          .first()
          .click();
        await page.locator('pre.body').waitFor();
      },
    },
    webhooks: { hash: '#/events?unrouted=true', ready: (page) => noted(page).first().waitFor() },
    empty: { hash: '#/end-users?status=ready', ready: (page) => shown(page, 'No end user stands here now') },
    unknown: { hash: '#/end-users/eus_nobody', ready: (page) => page.getByRole('alert').waitFor() },
  };

  for (const [name, { hash, ready }] of Object.entries(VIEWS))
    it(`passes axe-core’s checks, and fits, on phone and desk, in light and dark: ${name}`, async ({ open }) => {
      const page = await open(all, hash, { options: { reducedMotion: 'reduce' } });
      await shown(page, 'Live');
      await ready(page);
      for (const width of [390, 1280])
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.setViewportSize({ width, height: 800 });
          await page.emulateMedia({ colorScheme });
          const screenshot = `${name}-${width}-${colorScheme}`;
          if (SCREENSHOTS.includes(screenshot))
            await page.screenshot({ path: join(import.meta.dirname, 'screenshots', `${screenshot}.png`) });
          expect({ screenshot, found: await violations(page) }).toEqual({ screenshot, found: [] });
          expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
        }
    });
});
