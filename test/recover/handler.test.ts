import { expect, it } from 'vitest';
import { UnexpectedAnswer } from '../../functions/heron/answers.ts';
import { serverOf } from '../../functions/http/server.ts';
import type { LogFields } from '../../functions/log.ts';
import { recoverHandler } from '../../functions/recover/handler.ts';
import { HeronApiError } from '../../functions/recover/heron-api.ts';
import type { Recovered, RecoverOptions } from '../../functions/recover/recover.ts';
import { listening } from './listening.ts';

const DONE: Recovered = {
  recovered: 1,
  in_log: 0,
  resend_requested: 0,
  settled: 0,
  retrying: 0,
  failed: 0,
  attempts: 1,
  since: null,
  complete: true,
  reasons: [],
};

async function asked(run: (options: RecoverOptions) => Promise<Recovered>, method = 'POST') {
  const lines: { severity: string; message: string; fields: LogFields }[] = [];
  const log = (severity: string, message: string, fields: LogFields = {}) => lines.push({ severity, message, fields });
  const stopping = new AbortController();
  const handler = recoverHandler({ run, log, stopwatch: () => 0, stopping: stopping.signal });
  await using server = await listening(serverOf(handler, log));
  const response = await fetch(server.url, { method });
  return { status: response.status, text: await response.text(), lines };
}

it('answers 200 with the sums once a run is over', async () => {
  const { status, text, lines } = await asked(async () => DONE);
  expect({ status, sums: JSON.parse(text) }).toMatchObject({ status: 200, sums: { recovered: 1, complete: true } });
  expect(lines).toMatchObject([{ severity: 'INFO', fields: { outcome: 'recovery_done' } }]);
});

it('answers 503 where not all was recovered, and logs why', async () => {
  const { status, lines } = await asked(async () => ({ ...DONE, failed: 2, reasons: ['14 down'] }));
  expect(status).toBe(503);
  expect(lines).toMatchObject([
    { severity: 'ERROR', message: 'Not all was recovered: 14 down', fields: { outcome: 'recovery_incomplete' } },
  ]);
});

it.each([
  ['Heron’s refusal', new HeronApiError('GET /x: it answered 403.', 403), 'GET /x: it answered 403.'],
  ['an answer that is not understood', new UnexpectedAnswer('its keys are "a".'), 'its keys are "a".'],
  ['what may quote contents by its kind alone', new TypeError('private'), 'TypeError'],
])('tells %s to the log, and nothing of it to the caller', async (_, error, told) => {
  const { status, text, lines } = await asked(() => Promise.reject(error));
  expect(status).toBe(503);
  expect(text).not.toContain(told);
  expect(lines).toMatchObject([{ severity: 'ERROR', fields: { outcome: 'recovery_failed' } }]);
  expect(lines[0]?.message).toContain(told);
  expect(lines[0]?.message).not.toContain('private');
});

it('runs at a POST only', async () => {
  const { status, lines } = await asked(() => Promise.reject(new Error('must not run')), 'GET');
  expect({ status, lines }).toEqual({ status: 405, lines: [] });
});
