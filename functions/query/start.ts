import { clock, stopwatch } from '../clock.ts';
import { storeConfig } from '../config.ts';
import { stopping } from '../http/server.ts';
import type { Log } from '../log.ts';
import { FirestoreStore } from '../store/firestore.ts';
import { tracerOf } from '../telemetry/start.ts';
import { query } from './query.ts';

/** Query as it runs in production. @throws ConfigError */
export async function start(env: NodeJS.ProcessEnv, log: Log) {
  const config = storeConfig(env);
  const tracer = await tracerOf('query', env, log);
  const store = new FirestoreStore(config, clock);
  const handler = query({ store, log, clock, stopwatch, projectId: config.projectId, tracer, stopping });
  return {
    handler,
    close: async () => {
      await Promise.all([store.close(), tracer.close()]);
    },
  };
}
