import { MemoryBus } from '../bus/memory.ts';
import { clock, stopwatch } from '../clock.ts';
import { logSampling, projectId, secretSource } from '../config.ts';
import { ingest } from '../ingest/ingest.ts';
import { Secrets } from '../ingest/secrets.ts';
import { cloudLog, sampled } from '../log.ts';
import { PROJECTOR, projector } from '../projector/projector.ts';
import { query } from '../query/query.ts';
import { MemoryStore } from '../store/memory.ts';
import { filterNotes } from './filters.ts';
import { forLocalHosts, serveLocally } from './loopback.ts';
import { type Running, type RunOptions, topologies } from './running.ts';

/** All functions in this process, each on a server of its own, over the in-memory twins. */
export async function runInMemory({
  env,
  webhookPort,
  queryPort,
  subscribers,
  onLog,
  onNote,
}: RunOptions): Promise<Running> {
  const project = projectId(env);
  const share = logSampling(env);
  const log = (name: string) =>
    sampled(
      cloudLog(name, (line) => onLog(line.trimEnd())),
      share,
    );
  const publisher = new MemoryBus();
  const store = new MemoryStore(clock);
  const secrets = new Secrets(secretSource(env), log('ingest'), stopwatch);

  const webhook = ingest({ publisher, secrets, log: log('ingest'), clock, stopwatch, projectId: project });
  const asked = query({ store, log: log('query'), clock, stopwatch, projectId: project });
  const pushed = projector({ publisher, store, log: log(PROJECTOR) });
  const served = await Promise.all([
    serveLocally(webhook, log('ingest'), webhookPort), // guarded by its signature: tunnels come by names of their own
    serveLocally(forLocalHosts(asked), log('query'), queryPort),
    serveLocally(forLocalHosts(pushed), log(PROJECTOR), 0),
  ]);
  const servers = served.flatMap((each) => each.servers);
  for (const each of topologies(served[2].port, subscribers)) publisher.provision(each);
  for (const each of filterNotes(subscribers, 'Pub/Sub in memory', false)) onNote(each);

  return {
    backing: 'Pub/Sub and Firestore in memory: all of it is gone when this stops.',
    failed: new Promise(() => {}),
    stop: async () => {
      for (const server of servers) server.close();
      await publisher.close();
      for (const server of servers) server.closeAllConnections();
    },
  };
}
