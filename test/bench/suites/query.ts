import { clock } from '../../../functions/clock.ts';
import { eventOf } from '../../../functions/events/event.ts';
import { FirestoreStore } from '../../../functions/store/firestore.ts';
import { deployed } from '../deployed.ts';
import { type Suite, scaled } from '../figure.ts';
import { load, percentile } from '../load.ts';
import { webhookBody } from '../requests.ts';
import { floor, newProject, ours } from '../stack.ts';
import { Subject } from '../subject.ts';

const END_USERS = 100;
const REQUESTS = 4_000;
const CONNECTIONS = 16;

/** `GET /end-users/{heron_id}` beside a function with one read of the same document. */
export const querySuite: Suite = async function* (surroundings) {
  const projectId = newProject();
  const store = new FirestoreStore({ projectId, databaseId: '(default)' }, clock);
  for (let n = 0; n < END_USERS; n++) await store.append([eventOf(webhookBody(`query-${n}`, 200, n), clock())]);
  await store.close();

  const paths = Array.from({ length: END_USERS }, (_, n) => `/end-users/eus_bench${n}`);
  const count = scaled(REQUESTS, surroundings);
  const subjects = [
    await Subject.start(floor('bare-query', projectId)),
    await Subject.start(ours('query', projectId, await deployed())),
  ] as const;
  const measure = async (subject: Subject, requests: number) => {
    let before = 0;
    const options = {
      port: subject.port,
      connections: CONNECTIONS,
      count: requests,
      of: { kind: 'get', paths },
    } as const;
    const { seconds, latencies, failed } = await load(options, () => {
      before = subject.cpu();
    });
    if (failed > 0) throw new Error(`${failed} of ${requests} requests were not answered 200.`);
    return {
      cpu: ((subject.cpu() - before) / requests) * 1e6,
      rate: requests / seconds,
      p99: percentile(latencies, 99),
    };
  };
  const rounds: { least: Awaited<ReturnType<typeof measure>>; full: Awaited<ReturnType<typeof measure>> }[] = [];
  try {
    for (const subject of subjects) await measure(subject, scaled(1_000, surroundings));
    for (let round = 0; round < surroundings.rounds; round++)
      rounds.push({ least: await measure(subjects[0], count), full: await measure(subjects[1], count) });
  } finally {
    for (const subject of subjects) await subject.stop();
  }
  for (const [key, name, unit, must] of [
    ['cpu', 'CPU a request', 'µs', { most: 0.7 }],
    ['rate', 'requests a second', '1/s', undefined],
    ['p99', 'answer, 99 of 100', 'ms', undefined],
  ] as const)
    yield {
      suite: 'query',
      name: `GET /end-users/{id}: ${name}`,
      unit,
      ours: rounds.map(({ full }) => full[key]),
      floor: rounds.map(({ least }) => least[key]),
      ...(must === undefined ? {} : { must }),
    };
};
