import { parseArgs } from 'node:util';
import { ConfigError } from '../config.ts';
import { drainOnSignals } from '../http/draining.ts';
import { cloudLog } from '../log.ts';
import { forLocalHosts, serveLocally } from './loopback.ts';

/**
 * A function in a process of its own on this machine, wired as in production. Not by the functions framework, which
 * listens on every interface.
 */
const { values } = parseArgs({ options: { target: { type: 'string' }, port: { type: 'string' } } });
const { target = '', port } = values;
const log = cloudLog(target);

const start = {
  ingest: async () => (await import('../ingest/start.ts')).start(process.env, log),
  projector: async () => (await import('../projector/start.ts')).start(process.env, log),
  query: async () => (await import('../query/start.ts')).start(process.env, log),
};

try {
  const { handler, close } = await start[target as keyof typeof start]();
  drainOnSignals(log, close);
  // The webhook is guarded by its signature, and tunnels come by names of their own.
  await serveLocally(target === 'ingest' ? handler : forLocalHosts(handler), log, Number(port));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  log('CRITICAL', error.message, { outcome: 'not_started' });
  process.exit(1);
}
