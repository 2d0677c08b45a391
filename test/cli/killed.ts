import { spawn } from 'node:child_process';
import { once } from 'node:events';
import firestore from '@google-cloud/firestore';
import { HERON } from '../end-to-end/local.ts';

/** Which commits count (a part of the path of a document in it), and after which of them the process is killed. */
type Moment = { readonly of: string; readonly nth: number };

const VARIABLE = 'KILLED_AFTER_COMMIT';

/** Runs the CLI until Firestore has answered a certain commit, and kills it before it knows of that. */
export async function killedAfterCommit(moment: Moment, args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, ['--import', import.meta.url, HERON, ...args], {
    env: { ...env, [VARIABLE]: JSON.stringify(moment) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const [code, signal] = await once(child, 'close');
  return { code, signal, stderr };
}

// Loaded into that process before anything else.
const given = process.env[VARIABLE];
if (given !== undefined) {
  const { of, nth } = JSON.parse(given) as Moment;
  const { prototype } = firestore.v1.FirestoreClient;
  let seen = 0;
  prototype.commit = new Proxy(prototype.commit, {
    apply: async (commit, client, [request, ...others]: Parameters<typeof prototype.commit>) => {
      const answer = await Reflect.apply(commit, client, [request, ...others]);
      const names = (request?.writes ?? []).map((write) => write.update?.name ?? write.delete ?? '');
      if (names.some((name) => name.includes(of)) && ++seen === nth) process.kill(process.pid, 'SIGKILL');
      return answer;
    },
  });
}
