import type { AddressInfo } from 'node:net';
import { test as base, expect } from 'vitest';
import { stopwatch } from '../../functions/clock.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { sign } from '../../functions/heron/signature.ts';
import { type Handler, serverOf } from '../../functions/http/server.ts';
import { ingest } from '../../functions/ingest/ingest.ts';
import { Secrets } from '../../functions/ingest/secrets.ts';
import { cloudLog, type Log } from '../../functions/log.ts';
import type { Tracer } from '../../functions/telemetry/tracer.ts';
import { FakePublisher } from './fake-publisher.ts';

export const SECRET = 'sec_of_the_tests';
const NOW = instantOf(Date.parse('2026-03-01T10:00:00.250Z'));
/** In every body here, and never to be in a log. */
export const PRIVATE = 'nobody-may-log-this';

export type Line = Readonly<Record<string, unknown>>;

/** A webhook's body of the documented shape. */
export function webhook(fields: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    topic: 'end_user.processed',
    created: '2026-03-01T10:00:00+00:00',
    data: { heron_id: 'eus_Eqio3Y4dhyNiMphrXwG58p', end_user_id: 'myenduser', status: 'processed' },
    meta: { note: PRIVATE },
    ...fields,
  });
}

/** The headers of what Heron sends. */
export function signed(body: string | Uint8Array, secret = SECRET) {
  return { 'Heron-Signature': sign(Buffer.from(body), secret), 'Content-Type': 'application/json' };
}

type AfterTest = (callback: () => void) => void;

/** Serves a handler until the test is over. */
async function serve(handler: Handler, afterTest: AfterTest, log: Log = () => {}): Promise<number> {
  const server = serverOf(handler, log);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function serveIngest(secrets: readonly [string, ...string[]], afterTest: AfterTest, tracer?: Tracer) {
  const publisher = new FakePublisher();
  const lines: string[] = [];
  const log = cloudLog('ingest', (line) => lines.push(line));
  const port = await serve(
    ingest({
      publisher,
      secrets: new Secrets({ secrets }, log, stopwatch),
      log,
      clock: () => NOW,
      stopwatch,
      projectId: 'heron-test',
      ...(tracer && { tracer }),
    }),
    afterTest,
  );
  afterTest(() => {
    expect(lines.join('')).not.toMatch(new RegExp([...secrets, PRIVATE, '[A-Za-z0-9+/]{43}='].join('|')));
  });
  return { port, publisher, log: (): Line[] => lines.map((line) => JSON.parse(line)) };
}

/** `serve` serves a handler; `serveIngest` ingest, its log kept, in which nothing private may be afterwards. */
export const test = base.extend<{
  serve: (handler: Handler, log?: Log) => Promise<number>;
  serveIngest: (secrets?: readonly [string, ...string[]], tracer?: Tracer) => ReturnType<typeof serveIngest>;
}>({
  serve: ({ onTestFinished }, use) => use((handler, log) => serve(handler, onTestFinished, log)),
  serveIngest: ({ onTestFinished }, use) =>
    use((secrets = [SECRET], tracer) => serveIngest(secrets, onTestFinished, tracer)),
});
