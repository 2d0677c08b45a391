import { parseArgs } from 'node:util';
import { http } from '@google-cloud/functions-framework';
import { ConfigError } from './config.ts';
import { drainOnSignals } from './http/draining.ts';
import { takeOverRequests } from './http/server.ts';
import { cloudLog } from './log.ts';

/**
 * The functions framework's entry: registers the function it was started for, and loads that one's modules only, so that
 * ingest starts without Firestore. A wrong environment stops the process here, with one line that says what to set.
 */
const { values } = parseArgs({ options: { target: { type: 'string' } }, strict: false, allowPositionals: true });
const target = String(values.target ?? process.env.FUNCTION_TARGET ?? '');
const log = cloudLog(target);

const start = {
  ingest: async () => (await import('./ingest/start.ts')).start(process.env, log),
  projector: async () => (await import('./projector/start.ts')).start(process.env, log),
  query: async () => (await import('./query/start.ts')).start(process.env, log),
  recover: async () => (await import('./recover/start.ts')).start(process.env, log),
};

if (Object.hasOwn(start, target)) {
  try {
    const { handler, close } = await start[target as keyof typeof start]();
    takeOverRequests(handler, log);
    drainOnSignals(log, close);
    http(target, handler);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log('CRITICAL', error.message, { outcome: 'not_started' });
    process.exit(1);
  }
}
