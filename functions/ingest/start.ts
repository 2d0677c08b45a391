import { GooglePublisher } from '../bus/google.ts';
import { clock, stopwatch } from '../clock.ts';
import { busConfig, secretSource } from '../config.ts';
import type { Log } from '../log.ts';
import { ingest } from './ingest.ts';
import { Secrets } from './secrets.ts';

/** Ingest as it runs in production. @throws ConfigError */
export function start(env: NodeJS.ProcessEnv, log: Log) {
  const source = secretSource(env);
  const config = busConfig(env);
  const publisher = new GooglePublisher(config);
  const secrets = new Secrets(source, log, stopwatch);
  return {
    handler: ingest({ publisher, secrets, log, clock, stopwatch, projectId: config.projectId }),
    close: () => publisher.close(),
  };
}
