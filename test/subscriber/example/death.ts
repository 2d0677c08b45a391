import firestore from '@google-cloud/firestore';

/**
 * Where a process of the example dies: when it has claimed an event, when its handler has read, or when its effect is
 * there and nobody has been told.
 */
export const MOMENTS = ['claimed', 'handling', 'committed'] as const;

/** @param nth so many times it gets past it, and one less. */
export type Death = { readonly moment: (typeof MOMENTS)[number]; readonly nth: number };

/** The variable that says when. Loaded into the process before anything else, by `--import`. */
export const DEATH = 'DEATH';

const given = process.env[DEATH];
if (given !== undefined) {
  const { moment, nth } = JSON.parse(given) as Death;
  let seen = 0;
  const pass = (now: Death['moment']) => {
    if (now === moment && ++seen === nth) process.kill(process.pid, 'SIGKILL');
  };
  const { prototype } = firestore.v1.FirestoreClient;
  prototype.commit = new Proxy(prototype.commit, {
    apply: async (commit, client, [request, ...others]: Parameters<typeof prototype.commit>) => {
      const isTransaction = (request?.transaction?.length ?? 0) > 0;
      if (isTransaction) pass('handling');
      const answer = await Reflect.apply(commit, client, [request, ...others]);
      pass(isTransaction ? 'committed' : 'claimed');
      return answer;
    },
  });
}
