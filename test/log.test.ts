import { expect, describe as group, test } from 'vitest';
import { eventId } from '../functions/events/event.ts';
import {
  cloudLog,
  describe,
  type LogFields,
  type Severity,
  sampled,
  traceOf,
  traceparentOf,
} from '../functions/log.ts';

const ID = '105445aa7843bc8bf206b12000100000';

test('an entry is one line of JSON in the structure of Cloud Logging', () => {
  const lines: string[] = [];
  const log = cloudLog('ingest', (line) => lines.push(line));
  const trace = { 'logging.googleapis.com/trace': 'projects/p/traces/t' };
  log('WARNING', 'two\nlines \u2028 and half of a \ud83d', { outcome: 'x', topic: null, trace });
  log('INFO', 'no more', { trace: undefined });
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line).toMatch(/^\{[^\n]*\}\n$/);
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      severity: 'WARNING',
      message: 'two\nlines \u2028 and half of a \ud83d',
      function: 'ingest',
      outcome: 'x',
      topic: null,
      'logging.googleapis.com/trace': 'projects/p/traces/t',
    },
    { severity: 'INFO', message: 'no more', function: 'ingest' },
  ]);
});

const SPAN = '00f067aa0ba902b7';
const TRACE = { 'logging.googleapis.com/trace': `projects/p/traces/${ID}` };
const KEPT = { ...TRACE, 'logging.googleapis.com/spanId': SPAN, 'logging.googleapis.com/trace_sampled': true };

test.each([
  ['W3C\u2019s header', { traceparent: `00-${ID}-${SPAN}-01` }, KEPT, `00-${ID}-${SPAN}-01`],
  ['its trace is not kept', { traceparent: `00-${ID}-${SPAN}-00` }, TRACE, `00-${ID}-${SPAN}-00`],
  ['Google\u2019s header', { 'x-cloud-trace-context': `${ID}/67667974448284343;o=1` }, KEPT, `00-${ID}-${SPAN}-01`],
  ['Google\u2019s, not kept', { 'x-cloud-trace-context': `${ID}/1` }, TRACE, `00-${ID}-0000000000000001-00`],
  ['Google\u2019s without a span', { 'x-cloud-trace-context': ID.toUpperCase() }, TRACE, undefined],
  ['W3C\u2019s is nonsense', { traceparent: 'nonsense', 'x-cloud-trace-context': ID }, TRACE, undefined],
  ['W3C\u2019s is all zero', { traceparent: `00-${'0'.repeat(32)}-${SPAN}-01` }, undefined, undefined],
  ['its span is all zero', { traceparent: `00-${ID}-${'0'.repeat(16)}-01` }, TRACE, undefined],
  ['there is no span', { traceparent: `00-${ID}-` }, TRACE, undefined],
  ['it is cut off', { traceparent: `00-${ID}` }, undefined, undefined],
  ['it is no trace', { 'x-cloud-trace-context': `${ID}/../../x`.repeat(2).slice(1) }, undefined, undefined],
  ['there are two', { traceparent: ['a', 'b'] }, undefined, undefined],
  ['there is none', {}, undefined, undefined],
])('the trace of a request is logged, and handed on: %s', (_, headers, trace, traceparent) => {
  expect(traceOf(headers, 'p')).toEqual(trace);
  expect(traceparentOf(headers)).toBe(traceparent);
});

test.each([
  ['an error of Google', Object.assign(new Error('5 NOT_FOUND: no'), { code: 5, details: 'no topic' }), '5 no topic'],
  ['an error of the system', Object.assign(new Error('open /secret'), { code: 'ENOENT' }), 'Error ENOENT'],
  ['what is no error', 'sec_text', 'string'],
  ['nothing', undefined, 'undefined'],
  ['an error without a stack', Object.assign(new TypeError('sec_text'), { stack: undefined }), 'TypeError'],
])('%s is described by its kind', (_, error, description) => {
  expect(describe(error)).toBe(description);
});

test('an error is described without its text, also where that looks like a stack', () => {
  for (const text of ['sec_text', 'sec_text\n    at sec_text:1:1', '    at sec_text:1:1\n']) {
    const error = new SyntaxError(text);
    expect(describe(error)).toMatch(/^SyntaxError at .*log\.test\.ts:\d+:\d+\)?$/);
    error.message = 'changed later';
    expect(describe(error)).toBe('SyntaxError');
  }
  let refused: unknown;
  expect(() => {
    try {
      JSON.parse('\n    at sec_text');
    } catch (error) {
      refused = error;
      throw error;
    }
  }).toThrow(SyntaxError);
  expect(describe(refused)).not.toContain('sec_');
});

group('a log of a share of the good news', () => {
  const IDS = Array.from({ length: 10_000 }, (_, n) => eventId(Buffer.from(String(n))));

  /** The events whose lines are kept. */
  function kept(share: number, severity: Severity, fields: LogFields = {}): Set<string | undefined> {
    const ids = new Set<string | undefined>();
    const log = sampled((_, __, { event_id } = {}) => ids.add(event_id), share);
    for (const event_id of IDS) log(severity, 'told', { event_id, ...fields });
    return ids;
  }

  test('keeps the lines of the same events in each function, about as many as it is told to', () => {
    const published = kept(0.1, 'INFO', { outcome: 'published' });
    expect(kept(0.1, 'INFO', { outcome: 'recorded', topic: null, heron_id: null })).toEqual(published);
    expect(published.size).toBeGreaterThan(900);
    expect(published.size).toBeLessThan(1_100);
    expect(published.isSubsetOf(kept(0.5, 'INFO'))).toBe(true);
    expect(kept(1, 'INFO').size).toBe(IDS.length);
  });

  test.each<Severity>(['NOTICE', 'WARNING', 'ERROR', 'CRITICAL'])('leaves out nothing that is a %s', (severity) => {
    expect(kept(0.0001, severity).size).toBe(IDS.length);
  });

  test('leaves out nothing that is about no event', () => {
    const lines: (LogFields | undefined)[] = [];
    const log = sampled((_, __, fields) => lines.push(fields), 0.0001);
    for (let n = 0; n < 100; n++) log('INFO', 'refused', { outcome: 'unsigned' });
    log('INFO', 'started');
    expect(lines).toHaveLength(101);
    expect(lines[0]).toEqual({ outcome: 'unsigned' });
  });

  test('says of each line that stands for others, and of no other, for what share it stands', () => {
    const lines: (LogFields | undefined)[] = [];
    const log = sampled((_, __, fields) => lines.push(fields), 0.5);
    log('INFO', 'published', { event_id: '0'.repeat(64), outcome: 'published' });
    log('WARNING', 'unrouted', { event_id: '0'.repeat(64), outcome: 'unrouted' });
    log('INFO', 'published', { event_id: '8'.repeat(64), outcome: 'published' });
    expect(lines).toEqual([
      { event_id: '0'.repeat(64), outcome: 'published', sampling: 0.5 },
      { event_id: '0'.repeat(64), outcome: 'unrouted' },
    ]);
  });
});
