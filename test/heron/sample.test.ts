import { expect, test } from 'vitest';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { parseWebhook } from '../../functions/heron/webhook.ts';

test('as many samples as are wanted differ, and the later one is later', () => {
  const at = Date.UTC(2026, 2, 1, 10);
  const bodies = Array.from({ length: 3_500 }, (_, n) => JSON.stringify(sampleWebhook('pdf.processed', 'acme', at, n)));
  expect(new Set(bodies).size).toBe(3_500);
  const times = bodies.map((body) => parseWebhook(Buffer.from(body)).created);
  expect(times).toEqual(times.toSorted());
  expect(times.at(-1)).toBe('2026-03-01T10:00:00.003499Z');
});
