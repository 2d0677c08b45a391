import { GooglePublisher } from '../bus/google.ts';
import { clock, stopwatch } from '../clock.ts';
import { busConfig, type Env, heronApiConfig, storeConfig } from '../config.ts';
import type { HeronEvent } from '../events/event.ts';
import { toMessage } from '../events/message.ts';
import { stopping } from '../http/server.ts';
import { publishEvent } from '../ingest/publish.ts';
import type { Log } from '../log.ts';
import { FirestoreStore } from '../store/firestore.ts';
import { FirestoreRecoveryLedger } from '../store/firestore-recovery.ts';
import { recoverHandler } from './handler.ts';
import { HeronApi } from './heron-api.ts';
import { keyOf } from './key.ts';
import { type Recovered, type RecoverOptions, recover } from './recover.ts';

/** Nobody waits as Heron does. */
const PUBLISH_MS = 30_000;

/** One way to recover, for the function and for the command. @throws ConfigError */
export function recovery(env: Env, log: Log) {
  const { url, ...source } = heronApiConfig(env);
  const [bus, database] = [busConfig(env), storeConfig(env)];
  const publisher = new GooglePublisher(bus);
  const eventLog = new FirestoreStore(database, clock);
  const ledger = new FirestoreRecoveryLedger(database, clock);
  const key = keyOf(source, stopwatch);
  const accept = async (event: HeronEvent) => {
    const late = stopwatch() + PUBLISH_MS;
    await publishEvent(event, toMessage(event), { publisher, log, left: () => late - stopwatch() });
  };
  return {
    run: (options: RecoverOptions): Promise<Recovered> => {
      const signal = options.signal ?? new AbortController().signal;
      const api = new HeronApi({ url, key, stopwatch, signal });
      return recover({ api, eventLog, ledger, accept, log, clock }, options);
    },
    close: async () => {
      await Promise.all([publisher.close(), eventLog.close(), ledger.close()]);
    },
  };
}

/** Recover as it runs in production. @throws ConfigError */
export function start(env: NodeJS.ProcessEnv, log: Log) {
  const { run, close } = recovery(env, log);
  return { handler: recoverHandler({ run, log, stopwatch, stopping }), close };
}
