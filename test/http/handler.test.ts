import { describe, expect } from 'vitest';
import { guarded } from '../../functions/http/handler.ts';
import { cloudLog } from '../../functions/log.ts';
import { PRIVATE, test } from '../ingest/served.ts';
import { send } from '../ingest/wire.ts';

describe('a handler that fails', () => {
  test.for<[string, () => Promise<never>]>([
    ['rejects', () => Promise.reject(new Error(PRIVATE))],
    [
      'throws',
      () => {
        throw new Error(PRIVATE);
      },
    ],
    ['throws what is no error', () => Promise.reject(PRIVATE)],
  ])(
    'and $0 is answered with 503, and neither the answer nor the log repeat the error',
    async ([, fail], { serve }) => {
      const lines: string[] = [];
      const log = cloudLog('f', (line) => lines.push(line));
      const reply = await send(await serve(guarded(fail, log)));
      expect(reply).toMatchObject({ status: 503, headers: { 'retry-after': '60' } });
      expect(JSON.parse(reply.body)).toMatchObject({ status: 503, title: 'Service Unavailable' });
      expect(lines.map((line) => JSON.parse(line))).toMatchObject([
        { severity: 'CRITICAL', outcome: 'failed', http_status: 503 },
      ]);
      expect(reply.body + lines.join('')).not.toContain(PRIVATE);
    },
  );

  test('after it began to answer leaves the answer visibly unfinished', async ({ serve }) => {
    const port = await serve(
      guarded(
        async (_, response) => {
          response.write('half of');
          throw new Error(PRIVATE);
        },
        () => {},
      ),
    );
    await expect(send(port)).rejects.toThrow(/aborted|hang up|reset/i);
  });
});
