import type { Env } from '../config.ts';
import { parseInstant, rfc3339 } from '../heron/instant.ts';
import type { Log } from '../log.ts';
import type { Outcome, Recovered, RecoverOptions as RecoveryOptions } from '../recover/recover.ts';
import { heronApiFailure } from './heron-api.ts';
import { complain, counted, inLine, print, printJson, progress, sayWaiting, styled } from './output.ts';
import { announce, envOf } from './project.ts';
import { topicColumn } from './topic-pattern.ts';

export type RecoverOptions = {
  readonly since?: string;
  readonly dryRun: boolean;
  readonly project?: string;
  readonly json: boolean;
};

/**
 * Brings in what Heron failed to deliver, as the function does that Cloud Scheduler calls. Resolves with the exit code:
 * 0 where all is in, or asked for again; 1 where something is left.
 */
export async function recover({ since, dryRun, project, json }: RecoverOptions, env: Env): Promise<number> {
  const environment = envOf(env, project);
  await announce(environment, ['Pub/Sub', 'Firestore']);
  const { recovery } = await import('../recover/start.ts');
  const log: Log = (severity, message) => {
    if (severity === 'ERROR') complain(message);
  };
  const { run, close } = recovery(environment, log);
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  const hush = sayWaiting("Heron's API");
  try {
    let met = 0;
    const onAttempt: RecoveryOptions['onAttempt'] = (outcome, { heron_id, topic }) => {
      const done = DONE[outcome];
      if (done && !json) print(`${done[dryRun ? 1 : 0].padEnd(WIDTH)}  ${topicColumn(topic)}  ${inLine(heron_id)}`);
      progress(`${counted(++met, 'attempt')} looked at`);
    };
    const from = since === undefined ? undefined : (parseInstant(since) ?? undefined);
    const recovered = await run({ since: from, dryRun, signal: interrupted.signal, onAttempt });
    progress('');
    const { since: began, ...sums } = recovered;
    if (json) printJson({ ...sums, since: began && rfc3339(began), dry_run: dryRun });
    else print(summary(recovered, dryRun));
    return recovered.failed > 0 || !recovered.complete ? 1 : 0;
  } catch (error) {
    throw heronApiFailure(error);
  } finally {
    hush();
    await close();
  }
}

/** What is told of one by one: what was done, and what would be. */
const DONE: Partial<Record<Outcome, readonly [did: string, would: string]>> = {
  recovered: ['brought in', 'to bring in'],
  resend_requested: ['asked for again', 'to ask for again'],
};
const WIDTH = Math.max(...Object.values(DONE).flatMap((words) => words.map(({ length }) => length)));

function summary(recovered: Recovered, dryRun: boolean): string {
  const {
    attempts,
    since,
    recovered: brought,
    in_log,
    resend_requested,
    settled,
    retrying,
    failed,
    complete,
  } = recovered;
  const would = dryRun ? 'would be ' : '';
  const facts = [
    styled(brought > 0 ? 'yellow' : 'green', `${brought.toLocaleString('en')} ${would}brought in`),
    ...(resend_requested > 0 ? [`${resend_requested.toLocaleString('en')} ${would}asked for again`] : []),
    ...(in_log > 0 ? [`${in_log.toLocaleString('en')} in the log already`] : []),
    ...(settled > 0 ? [`${settled.toLocaleString('en')} dealt with before`] : []),
    ...(retrying > 0 ? [`${retrying.toLocaleString('en')} that Heron still tries again`] : []),
    ...(failed > 0 ? [styled('red', `${failed.toLocaleString('en')} failed`)] : []),
  ];
  const when = since === null ? 'of the last 7 days' : `since ${rfc3339(since)}`;
  const end = complete ? [] : [styled('red', 'Not all were looked at: run it again, it goes on from there.')];
  return [`${counted(attempts, 'failed attempt')} ${when}: ${facts.join(', ')}.`, ...end].join('\n');
}
