import { clock } from '../clock.ts';
import { busConfig, logSampling, retentionDays, storeConfig } from '../config.ts';
import { type Log, sampled } from '../log.ts';
import { FirestoreStore } from '../store/firestore.ts';
import { tracerOf } from '../telemetry/start.ts';
import { lazyPublisher } from './lazy-publisher.ts';
import { projector } from './projector.ts';

/** The projector as it runs in production. @throws ConfigError */
export async function start(env: NodeJS.ProcessEnv, log: Log) {
  const config = busConfig(env);
  const tracer = await tracerOf('projector', env, log);
  const told = sampled(log, logSampling(env));
  const store = new FirestoreStore(storeConfig(env), clock, { retentionDays: retentionDays(env) });
  const publisher = lazyPublisher(async () => {
    const { GooglePublisher } = await import('../bus/google.ts');
    return new GooglePublisher(config);
  });
  return {
    handler: projector({ publisher, store, log: told, tracer }),
    close: async () => {
      await Promise.all([publisher.close(), store.close(), tracer.close()]);
    },
  };
}
