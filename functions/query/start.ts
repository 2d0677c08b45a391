import { clock, stopwatch } from '../clock.ts';
import { storeConfig } from '../config.ts';
import { stopping } from '../http/server.ts';
import type { Log } from '../log.ts';
import { FirestoreStore } from '../store/firestore.ts';
import { query } from './query.ts';

/** Query as it runs in production. @throws ConfigError */
export function start(env: NodeJS.ProcessEnv, log: Log) {
  const config = storeConfig(env);
  const store = new FirestoreStore(config, clock);
  const handler = query({ store, log, clock, stopwatch, projectId: config.projectId, stopping });
  return { handler, close: () => store.close() };
}
