import { accessSync, constants, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { leaveOut } from '../left-out.ts';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Debian's Chromium, or null where there is none: then a person sees what is skipped; under CI that is a failure. */
export const chromiumPath = find('chromium');

function find(name: string): string | null {
  for (const directory of (process.env.PATH ?? '').split(delimiter))
    try {
      const path = join(directory, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  leaveOut('Chromium is missing (apt-get install chromium)', "the page's tests in a browser");
  return null;
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath ?? '', headless: true, args: FLAGS, timeout: 120_000 });
}

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

type Violation = { readonly id: string; readonly nodes: readonly { readonly html: string; failureSummary: string }[] };

/** What axe-core finds wrong with what is shown, each with where. */
export async function violations(page: Page): Promise<readonly string[]> {
  // Past the page's own policy, which lets no script in: in a world of its own.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
  const evaluate = (expression: string) =>
    session.send('Runtime.evaluate', {
      expression,
      contextId: executionContextId,
      awaitPromise: true,
      returnByValue: true,
    });
  await evaluate(readFileSync(AXE, 'utf8'));
  const { result } = await evaluate('axe.run().then(({ violations }) => violations)');
  await session.detach();
  return (result.value as Violation[]).map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join('; ')}`,
  );
}
