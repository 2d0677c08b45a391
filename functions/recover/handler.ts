import type { Stopwatch } from '../clock.ts';
import { UnexpectedAnswer } from '../heron/answers.ts';
import { answer, answerProblem } from '../http/answer.ts';
import type { Handler } from '../http/server.ts';
import { describe, type Log } from '../log.ts';
import { HeronApiError } from './heron-api.ts';
import type { Recovered, RecoverOptions } from './recover.ts';

export type HandlerDependencies = {
  readonly run: (options: RecoverOptions) => Promise<Recovered>;
  readonly log: Log;
  readonly stopwatch: Stopwatch;
  /** Aborted when the process drains. */
  readonly stopping: AbortSignal;
};

/** Cloud Scheduler gives a run ten minutes (infra/recover.tf): what is left then is the next run's. */
const RUN_MS = 540_000;

/** What Cloud Scheduler calls: one run, and 200 once it is over; 503 where Heron's API cannot be read or all failed. */
export function recoverHandler({ run, log, stopwatch, stopping }: HandlerDependencies): Handler {
  return async (request, response) => {
    if (request.method !== 'POST') {
      answerProblem(response, 405, 'Method Not Allowed', 'Recovery is begun with POST.', {
        headers: { Allow: 'POST' },
      });
      return;
    }
    const began = stopwatch();
    const signal = AbortSignal.any([stopping, AbortSignal.timeout(RUN_MS)]);
    try {
      const { reasons, ...recovered } = await run({ signal });
      const failed = recovered.failed > 0;
      log(failed ? 'ERROR' : 'INFO', failed ? `Not all was recovered: ${reasons.join(' ')}` : 'recovery is done', {
        outcome: failed ? 'recovery_incomplete' : 'recovery_done',
        milliseconds: Math.round(stopwatch() - began),
        http_status: failed ? 503 : 200,
      });
      if (failed)
        answerProblem(response, 503, 'Service Unavailable', 'Not all was recovered: the next run tries again.');
      else answer(response, 200, JSON.stringify(recovered), { 'Content-Type': 'application/json' });
    } catch (error) {
      const isTold = error instanceof HeronApiError || error instanceof UnexpectedAnswer;
      log('ERROR', `Nothing could be recovered: ${isTold ? error.message : describe(error)}`, {
        outcome: 'recovery_failed',
        milliseconds: Math.round(stopwatch() - began),
        http_status: 503,
      });
      answerProblem(response, 503, 'Service Unavailable', 'Nothing could be recovered: the next run tries again.');
    }
  };
}
