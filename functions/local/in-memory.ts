import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MemoryBus } from '../bus/memory.ts';
import { topology } from '../bus/topology.ts';
import { clock, stopwatch } from '../clock.ts';
import { projectId, secretSource } from '../config.ts';
import { serverOf } from '../http/server.ts';
import { ingest } from '../ingest/ingest.ts';
import { Secrets } from '../ingest/secrets.ts';
import { cloudLog } from '../log.ts';
import { PROJECTOR, projector } from '../projector/projector.ts';
import { query } from '../query/query.ts';
import { MemoryStore } from '../store/memory.ts';
import type { Running, RunOptions } from './running.ts';

/** All functions in this process, each on a server of its own, over the in-memory twins. */
export async function runInMemory({ env, webhookPort, queryPort, onLog }: RunOptions): Promise<Running> {
  const project = projectId(env);
  const log = (name: string) => cloudLog(name, (line) => onLog(line.trimEnd()));
  const publisher = new MemoryBus();
  const store = new MemoryStore(clock);
  const secrets = new Secrets(secretSource(env), log('ingest'), stopwatch);

  const servers = [
    serverOf(ingest({ publisher, secrets, log: log('ingest'), clock, stopwatch, projectId: project }), log('ingest')),
    serverOf(query({ store, log: log('query'), clock, stopwatch, projectId: project }), log('query')),
    serverOf(projector({ publisher, store, log: log(PROJECTOR), stopwatch, projectId: project }), log(PROJECTOR)),
  ];
  const [, , projectorPort] = await Promise.all([
    listen(servers[0], webhookPort),
    listen(servers[1], queryPort),
    listen(servers[2], 0, '127.0.0.1'),
  ]);
  publisher.provision(topology(PROJECTOR, `http://127.0.0.1:${projectorPort}/`));

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

async function listen(server: Server | undefined, port: number, host?: string): Promise<number> {
  if (server === undefined) throw new Error('no server');
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return (server.address() as AddressInfo).port;
}
