import { deployed } from '../deployed.ts';
import type { Suite } from '../figure.ts';
import { load } from '../load.ts';
import type { RequestsOf } from '../requests.ts';
import { floor, newProject, ours, type Target, topicOnly } from '../stack.ts';
import { type Command, Subject } from '../subject.ts';

const TARGETS: readonly { readonly target: Target; readonly of: RequestsOf; readonly must: number }[] = [
  { target: 'ingest', of: { kind: 'webhook', bytes: 200, endUsers: 1 }, must: 2.5 },
  { target: 'projector', of: { kind: 'push', endUsers: 1 }, must: 3.5 },
  { target: 'query', of: { kind: 'get', paths: ['/end-users?end_user_id=nobody'] }, must: 3.5 },
];

/** Milliseconds from the start of the process to the first answer that has done its work. */
async function cold(command: Command, of: RequestsOf): Promise<number> {
  const began = performance.now();
  const subject = await Subject.start(command);
  try {
    const ready = performance.now() - began;
    const { latencies, failed } = await load({ port: subject.port, connections: 1, count: 1, of });
    if (failed > 0) throw new Error('The first request was not answered 2xx.');
    return ready + (latencies[0] ?? Number.NaN);
  } finally {
    await subject.stop();
  }
}

export const coldSuite: Suite = async function* ({ rounds }) {
  const projectId = newProject();
  await topicOnly(projectId);
  const source = await deployed();
  for (const { target, of, must } of TARGETS) {
    const warm = [floor('bare', projectId), ours(target, projectId, source)] as const;
    for (const command of warm) await cold(command, of); // from here on files are in the system's cache
    const [least, full]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds + 2; round++) {
      least.push(await cold(warm[0], of));
      full.push(await cold(warm[1], of));
    }
    const name = `${target}: from its start to the first answer`;
    yield { suite: 'cold', name, unit: 'ms', ours: full, floor: least, must: { most: must } };
  }
};
