import { GooglePublisher } from '../bus/google.ts';
import { clock, stopwatch } from '../clock.ts';
import { busConfig, logSampling, secretSource } from '../config.ts';
import { type Log, sampled } from '../log.ts';
import { tracerOf } from '../telemetry/start.ts';
import { ingest } from './ingest.ts';
import { Secrets } from './secrets.ts';

/** Ingest as it runs in production. @throws ConfigError */
export async function start(env: NodeJS.ProcessEnv, log: Log) {
  const source = secretSource(env);
  const config = busConfig(env);
  const told = sampled(log, logSampling(env));
  const publisher = new GooglePublisher(config); // first of all: its connection opens while the rest is loaded
  const tracer = await tracerOf('ingest', env, log);
  const secrets = new Secrets(source, log, stopwatch);
  return {
    handler: ingest({ publisher, secrets, log: told, clock, stopwatch, projectId: config.projectId, tracer }),
    close: async () => {
      await Promise.all([publisher.close(), tracer.close()]);
    },
  };
}
