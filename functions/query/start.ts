import { storeConfig } from '../config.ts';
import type { Log } from '../log.ts';
import { FirestoreStore } from '../store/firestore.ts';
import { query } from './query.ts';

/** Query as it runs in production. @throws ConfigError */
export function start(env: NodeJS.ProcessEnv, log: Log) {
  const config = storeConfig(env);
  const now = Date.now;
  const store = new FirestoreStore(config, now);
  return { handler: query({ store, log, now, projectId: config.projectId }), close: () => store.close() };
}
