import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIGNATURE_HEADER } from '../../functions/heron/signature.ts';
import type { Webhook } from './webhooks.ts';

/** Heron's own. Source: its webhooks page, "Retries". */
const TIMEOUT_MS = 10_000;
/** Heron's 1, 5 and 15 minutes, scaled down. */
const RETRIES_MS: readonly number[] = [500, 1_500, 3_000];

export type Answer = number | 'none';

/** Delivers a webhook as Heron does. Resolves with what each attempt was answered; only the last can be 2xx. */
export async function deliver(url: string, webhook: Webhook, retriesMs = RETRIES_MS): Promise<readonly Answer[]> {
  const answers = [await post(url, webhook)];
  for (const pause of retriesMs) {
    if (isAcknowledged(answers)) break;
    await sleep(pause);
    answers.push(await post(url, webhook));
  }
  return answers;
}

export function isAcknowledged(answers: readonly Answer[]): boolean {
  const last = answers.at(-1);
  return typeof last === 'number' && last >= 200 && last < 300;
}

function post(url: string, { body, signature }: Webhook): Promise<Answer> {
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': body.byteLength,
    ...(signature === null ? {} : { [SIGNATURE_HEADER]: signature }),
  };
  return new Promise((resolve) => {
    // A connection of its own for each: so they go round the processes, and none hides behind one that works.
    const options = { method: 'POST', headers, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) };
    request(url, options, (response) => {
      response.on('error', () => {}).resume();
      resolve(response.statusCode ?? 'none');
    })
      .on('error', () => resolve('none'))
      .end(body);
  });
}
