import { spawn } from 'node:child_process';
import { once } from 'node:events';
import firestore from '@google-cloud/firestore';
import { GrpcConnection } from '../../functions/bus/grpc-connection.ts';
import { messageIds } from '../../functions/bus/publish-wire.ts';
import { HERON } from '../end-to-end/local.ts';

/**
 * What counts: commits, by a part of the path of a document in them, or messages that are published, by a part of their
 * topic's name; and after which of them the process is killed.
 */
type Moment = { readonly after: 'commit' | 'message'; readonly of: string; readonly nth: number };

const VARIABLE = 'KILLED_AT';

/** Runs the CLI until Firestore has answered a certain commit, and kills it before it knows of that. */
export function killedAfterCommit(moment: Omit<Moment, 'after'>, args: readonly string[], env: NodeJS.ProcessEnv) {
  return killedAt({ after: 'commit', ...moment }, args, env);
}

/** Runs the CLI until Pub/Sub has taken so many messages, and kills it before it knows of the last. */
export function killedAfterMessage(moment: Omit<Moment, 'after'>, args: readonly string[], env: NodeJS.ProcessEnv) {
  return killedAt({ after: 'message', ...moment }, args, env);
}

async function killedAt(moment: Moment, args: readonly string[], env: NodeJS.ProcessEnv) {
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
  const { after, of, nth } = JSON.parse(given) as Moment;
  let seen = 0;
  const pass = (count: number) => {
    seen += count;
    if (count > 0 && seen >= nth) process.kill(process.pid, 'SIGKILL');
  };
  if (after === 'commit') {
    const { prototype } = firestore.v1.FirestoreClient;
    prototype.commit = new Proxy(prototype.commit, {
      apply: async (commit, client, [request, ...others]: Parameters<typeof prototype.commit>) => {
        const answer = await Reflect.apply(commit, client, [request, ...others]);
        const names = (request?.writes ?? []).map((write) => write.update?.name ?? write.delete ?? '');
        pass(names.some((name) => name.includes(of)) ? 1 : 0);
        return answer;
      },
    });
  } else {
    const { prototype } = GrpcConnection;
    prototype.call = new Proxy(prototype.call, {
      apply: async (call, connection, [path, headers, request, ...others]: Parameters<typeof prototype.call>) => {
        const answer: Buffer = await Reflect.apply(call, connection, [path, headers, request, ...others]);
        pass(request.includes(of) ? messageIds(answer).length : 0);
        return answer;
      },
    });
  }
}
