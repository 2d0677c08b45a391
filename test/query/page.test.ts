import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { sign } from '../../functions/heron/signature.ts';
import { type Local, startLocal, withoutEmulators } from '../end-to-end/local.ts';
import { chromiumPath, launch, violations } from './browser.ts';

/** With SCREENSHOTS=1 those of the README are made anew. */
const SCREENSHOTS = process.env.SCREENSHOTS
  ? ['overview-1280-light', 'overview-360-light', 'end-users-360-dark', 'end-user-1280-dark']
  : [];
const HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)>';
const MAX_WIRE_BYTES = 70_000;

/** Where the machine is busy a browser takes its time: nothing here is about speed. */
const PATIENCE_MS = 180_000;

describe.skipIf(chromiumPath === null)('the page', { timeout: PATIENCE_MS }, () => {
  let local: Local;
  let browser: Browser;
  const pages: Page[] = [];
  /** What a page must never do. */
  const wrongs: string[] = [];

  beforeAll(async () => {
    [local, browser] = await Promise.all([
      startLocal({ ...withoutEmulators(), HERON_SHARED_SECRET: 'sec_test' }),
      launch(),
    ]);
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
    for (const topic of [
      'transactions.updated',
      'transactions.updated',
      'end_user.transactions_loaded',
      'nobody.knows',
    ])
      await send(topic, 'Alder Bakery', { n: Math.random() });
    await send('end_user.processed', HOSTILE, { meta: { note: HOSTILE } });
    const data = { heron_id: 'eus_archived', end_user_id: 'Archived Company', status: 'archived' };
    await send('end_user.processed', 'Archived Company', { data });
  });

  afterEach(async () => {
    for (const page of pages.splice(0)) await page.context().close();
    expect(wrongs.splice(0)).toEqual([]);
  });

  afterAll(async () => {
    await browser?.close();
    await local?.interrupt();
  });

  /** As Heron does. */
  async function send(topic: string, endUser: string, { created = 0, ...others }: Record<string, unknown> = {}) {
    const webhook = { ...sampleWebhook(topic, endUser, Date.now() + Number(created)), ...others };
    const body = Buffer.from(JSON.stringify(webhook));
    const headers = { 'Heron-Signature': sign(body, 'sec_test') };
    const response = await fetch(local.webhook, { method: 'POST', body, headers });
    expect(response.status).toBe(200);
    return (webhook.data as { heron_id: string }).heron_id;
  }

  async function open(
    hash: string,
    options: BrowserContextOptions = {},
    before: (page: Page) => Promise<unknown> = async () => {},
  ): Promise<Page> {
    const page = await (await browser.newContext(options)).newPage();
    pages.push(page);
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', (message) => {
      const meant = /Failed to load resource|ERR_FAILED/.test(message.text());
      if (['error', 'warning'].includes(message.type()) && !meant) wrongs.push(message.text());
    });
    page.on('pageerror', (error) => wrongs.push(String(error)));
    page.on('dialog', (dialog) => wrongs.push(dialog.message()));
    page.on('request', (request) => {
      if (!request.url().startsWith(local.query) && !request.url().startsWith('data:')) wrongs.push(request.url());
    });
    await before(page);
    await page.goto(`${local.query}${hash}`);
    return page;
  }

  const row = (page: Page, name: string) => page.locator('.rows > li', { hasText: name });
  const shown = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor();

  it('shows a row change as the webhook arrives, without reload', async () => {
    const page = await open('#/end-users');
    await shown(page, 'Live');
    await page.evaluate('window.same = true');
    await send('end_user.created', 'Live Company');
    await row(page, 'Live Company').getByText('new', { exact: true }).waitFor();
    await send('end_user.failed', 'Live Company');
    await row(page, 'Live Company').getByText('failed', { exact: true }).waitFor();
    expect(await page.locator('.rows > li').first().textContent()).toContain('Live Company');
    expect(await page.evaluate('window.same')).toBe(true);
  });

  it('moves rows in and out of what is filtered', async () => {
    const page = await open('#/end-users?status=reviewed');
    await shown(page, 'Live');
    await send('end_user.reviewed', 'Moving Company');
    await row(page, 'Moving Company').waitFor();
    await send('end_user.failed', 'Moving Company');
    await row(page, 'Moving Company').waitFor({ state: 'detached' });
  });

  it('finds by either id, lists those that share one, and says when there is none', async () => {
    const heronId = await send('end_user.created', 'find/me ü');
    await send('end_user.created', 'eus_twinone', { data: { heron_id: 'eus_twinone', end_user_id: 'twins' } });
    await send('end_user.created', 'eus_twintwo', { data: { heron_id: 'eus_twintwo', end_user_id: 'twins' } });
    const page = await open('');
    const find = async (id: string) => {
      await page.getByRole('searchbox').fill(id);
      await page.getByRole('searchbox').press('Enter');
    };
    for (const id of [heronId, 'find/me ü']) {
      await find(id);
      await page.getByRole('heading', { level: 1, name: 'find/me ü' }).waitFor();
      expect(new URL(page.url()).hash).toBe(`#/end-users/${heronId}`);
      await page.goto(`${local.query}#/`);
    }
    await find('twins');
    await shown(page, '2 end users share the id');
    await find('nobody at all');
    await shown(page, 'No end user has the id');
  });

  it('shows an end user’s history, grows it live, and bodies on demand', async () => {
    const heronId = await send('end_user.created', 'Timeline Company', { created: -5_000 });
    const page = await open(`#/end-users/${heronId}`);
    await shown(page, '1 shown, which is all');
    await send('end_user.processed', 'Timeline Company', { meta: { plan: 'gold' } });
    await shown(page, '2 shown, which is all');
    await page.locator('.large').getByText('processed').waitFor();
    await page.getByRole('button', { name: /^Body of end_user.processed/ }).click();
    await page.locator('pre.body', { hasText: '"plan": "gold"' }).waitFor();
    await shown(page, /recorded after/);
    const time = page.locator('.timeline time').first();
    expect(await time.getAttribute('title')).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? UTC$/);
  });

  it('shows a payload full of markup as text', async () => {
    const page = await open(`#/find?${new URLSearchParams({ id: HOSTILE })}`);
    await page.getByRole('heading', { level: 1, name: HOSTILE }).waitFor();
    await page
      .getByRole('button', { name: /^Body of/ })
      .first()
      .click();
    await page.locator('pre.body', { hasText: HOSTILE.slice(0, 20) }).waitFor();
    expect(await page.title()).not.toBe('taken');
    expect(await page.locator('main script, main img').count()).toBe(0);
  });

  it('says that there are more than are shown, and shows them', async () => {
    const page = await open('#/end-users');
    await shown(page, '50 shown; there are more');
    await page.getByRole('button', { name: 'Show more' }).click();
    await shown(page, /^\d+ shown, which is all/);
    expect(await page.locator('.rows > li').count()).toBeGreaterThan(60);
  });

  it('tells of nothing, of what is unknown, of failures, and recovers', async () => {
    const page = await open('#/end-users?status=ready');
    await shown(page, 'No end user stands here now');
    await page.goto(`${local.query}#/end-users/eus_nobody`);
    await shown(page, 'No end user has this heron_id');
    await page.goto(`${local.query}#/nothing/here`);
    await shown(page, 'Nothing is here');

    let down = true;
    const broken = await open('', {}, (each) =>
      each.route(/\/(stats|stream|end-users)(?!\.js)/, (route) => (down ? route.abort() : route.continue())),
    );
    await shown(broken, 'Offline: trying again');
    await shown(broken, 'The server cannot be reached.');
    down = false;
    await broken.getByRole('button', { name: 'Try again' }).first().click();
    await shown(broken, /webhooks in 24 hours/);
    await shown(broken, 'Live');
  });

  it('is worked by keyboard', async () => {
    const page = await open('');
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

  it('in eight tabs listens once, and another tab takes over where the one that listens is closed', async () => {
    const streams: string[] = [];
    const first = await open('#/end-users', {}, async (page) => {
      page.context().on('request', (request) => {
        if (new URL(request.url()).pathname === '/stream') streams.push(request.url());
      });
    });
    await shown(first, 'Live');
    const others: Page[] = [];
    for (let n = 0; n < 7; n++) {
      const tab = await first.context().newPage();
      tab.setDefaultTimeout(PATIENCE_MS);
      others.push(tab);
      // A browser opens six connections to a server: with a stream each the seventh tab would load for ever.
      await tab.goto(`${local.query}#/end-users`);
      await shown(tab, 'Live');
    }
    await send('end_user.processed', 'Company of Tabs');
    for (const tab of [first, ...others])
      await row(tab, 'Company of Tabs').getByText('processed', { exact: true }).waitFor();
    expect(streams.length).toBe(1);
    await first.close();
    await send('end_user.failed', 'Company of Tabs');
    for (const tab of others) await row(tab, 'Company of Tabs').getByText('failed', { exact: true }).waitFor();
    expect(streams.length).toBe(2);
  });

  it('moves no row while the keyboard is in the list, and keeps the focus where its row changes', async () => {
    const page = await open('#/end-users');
    await shown(page, 'Live');
    await send('end_user.created', 'Held Company');
    await row(page, 'Held Company').waitFor();
    await row(page, 'Held Company').locator('a').first().focus();
    await send('end_user.created', 'Company After Focus');
    await shown(page, 'Held still while you are here: 1 changed.');
    await send('end_user.failed', 'Held Company');
    await row(page, 'Held Company').getByText('failed', { exact: true }).waitFor();
    expect(await page.evaluate('document.activeElement.textContent')).toContain('Held Company');
    expect(await page.locator('.rows > li').first().textContent()).toContain('Held Company');
    expect(await row(page, 'Company After Focus').count()).toBe(0);
    await page.getByRole('searchbox').focus();
    await row(page, 'Company After Focus').waitFor();
  });

  it('moves no row under the mouse', async () => {
    const page = await open('#/end-users');
    await shown(page, 'Live');
    await send('end_user.created', 'Pointed Company');
    await row(page, 'Pointed Company').hover();
    await send('end_user.created', 'Company After Mouse');
    await shown(page, 'Held still while you are here: 1 changed.');
    expect(await page.locator('.rows > li').first().textContent()).toContain('Pointed Company');
    expect(await row(page, 'Company After Mouse').count()).toBe(0);
    await page.getByRole('searchbox').hover();
    await row(page, 'Company After Mouse').waitFor();
  });

  it('leads from the overview to a webhook without a place, and finds it by its id', async () => {
    const page = await open('');
    await page.getByRole('link', { name: /webhooks without a place in 24 hours$/ }).click();
    await page.getByRole('heading', { level: 1, name: 'Webhooks without a place' }).waitFor();
    const webhook = page.locator('.timeline > li', { hasText: 'nobody.knows' });
    await webhook.getByText('Without a place: ').waitFor();
    await webhook.getByRole('link', { name: 'nobody.knows' }).click();
    await page.getByRole('heading', { level: 1, name: 'nobody.knows' }).waitFor();
    const { hash } = new URL(page.url());
    expect(hash).toMatch(/^#\/events\/[0-9a-f]{64}$/);
    await page.goto(`${local.query}#/`);
    await page.getByRole('searchbox').fill(hash.slice('#/events/'.length));
    await page.getByRole('searchbox').press('Enter');
    await page.getByRole('heading', { level: 1, name: 'nobody.knows' }).waitFor();
    expect(new URL(page.url()).hash).toBe(hash);
    await page.locator('pre.body', { hasText: 'nobody.knows' }).waitFor();
  });

  it('leads from the overview to end users of a status that Heron does not document', async () => {
    const page = await open('');
    await page.getByRole('link', { name: /^other/ }).click();
    await row(page, 'Archived Company').getByText('archived', { exact: true }).waitFor();
    expect(await page.locator('.rows > li').count()).toBe(1);
  });

  it('takes less than 70 kB to load, nothing of it from elsewhere', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    pages.push(page);
    const session = await context.newCDPSession(page);
    await session.send('Network.enable');
    const assets = new Set<string>();
    let bytes = 0;
    session.on('Network.responseReceived', ({ requestId, response }) => {
      if (/\/(assets\/.*)?$/.test(new URL(response.url).pathname)) assets.add(requestId);
    });
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      if (assets.has(requestId)) bytes += encodedDataLength;
    });
    await page.goto(local.query);
    await shown(page, 'webhooks in 24 hours');
    expect(assets.size).toBeGreaterThan(5);
    expect(bytes).toBeLessThan(MAX_WIRE_BYTES);
  });

  const VIEWS = {
    overview: '#/',
    'end-users': '#/end-users',
    'end-user': `#/find?id=${encodeURIComponent('Cedar Ltd')}`,
  };

  for (const width of [360, 1280])
    for (const colorScheme of ['light', 'dark'] as const)
      for (const [name, hash] of Object.entries(VIEWS))
        it(`passes axe-core’s checks: ${name}, ${width} px, ${colorScheme}`, async () => {
          const page = await open(hash, { viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' });
          await shown(page, 'Live');
          if (name === 'overview') await page.locator('.plot canvas').waitFor();
          if (name === 'end-user') {
            await page
              .getByRole('button', { name: /^Body of/ })
              .first()
              .click();
            await page.locator('pre.body').waitFor();
          } else await page.locator('.rows > li').first().waitFor();
          const screenshot = `${name}-${width}-${colorScheme}`;
          if (SCREENSHOTS.includes(screenshot))
            await page.screenshot({ path: join(import.meta.dirname, 'screenshots', `${screenshot}.png`) });
          expect(await violations(page)).toEqual([]);
          expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
        });
});
