import { afterEach, describe, expect, vi } from 'vitest';
import type { LogFields } from '../../functions/log.ts';
import { OpenTelemetryTracer } from '../../functions/telemetry/open-telemetry.ts';
import { signed, test, webhook } from '../ingest/served.ts';
import { send } from '../ingest/wire.ts';
import { until } from '../until.ts';
import { startCollector } from './collector.ts';

type Told = LogFields & { readonly message: string };

/** A tracer that sends to a collector at once, and what it logs. */
function tracerTo(url: string, env: Readonly<Record<string, string>> = {}) {
  const all = { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '1', ...env };
  for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value);
  const lines: Told[] = [];
  const tracer = new OpenTelemetryTracer('ingest', (_, message, fields) => lines.push({ message, ...fields }));
  return { tracer, lines };
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('spans that wait to be sent', () => {
  test('are 2,048 at most beside the 512 that are on their way: later ones are dropped, and the log says so', async ({
    onTestFinished,
  }) => {
    const collector = await startCollector(onTestFinished);
    const { tracer, lines } = tracerTo(collector.url);
    onTestFinished(() => tracer.close());
    const end = (name: string) => tracer.begin(name, { kind: 'server', from: {} }).end();
    for (let n = 0; n < 5_000; n++) end(String(n));
    await until(() => collector.spans.length >= 2_560);
    expect(lines).toEqual([]); // it tells of them once there is room
    end('later');
    await until(() => collector.spans.some(({ name }) => name === 'later'));
    expect(collector.spans.map(({ name }) => name)).toEqual([...Array(2_560).keys(), 'later'].map(String));
    expect(lines).toEqual([
      expect.objectContaining({ outcome: 'spans_lost', error: expect.stringMatching(/^Dropped 2440 spans/) }),
    ]);
  });

  test('are as many as OpenTelemetry’s own variables say', async ({ onTestFinished }) => {
    const collector = await startCollector(onTestFinished);
    const { tracer } = tracerTo(collector.url, {
      OTEL_BSP_MAX_QUEUE_SIZE: '20',
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10',
    });
    onTestFinished(() => tracer.close());
    const end = () => tracer.begin('x', { kind: 'server', from: {} }).end();
    for (let n = 0; n < 100; n++) end();
    await until(() => collector.spans.length >= 30);
    end();
    await until(() => collector.spans.length > 30);
    expect(collector.spans).toHaveLength(31);
  });
});

describe('whether a webhook’s spans are kept', () => {
  const [TRACE, SPAN] = ['105445aa7843bc8bf206b12000100000', '00f067aa0ba902b7'];
  const UNSAMPLED = { traceparent: `00-${TRACE}-${SPAN}-00` };

  test.for([
    ['the caller says: not where its trace is not', UNSAMPLED, {}, false],
    ['the caller says, as Google’s balancer does', { 'x-cloud-trace-context': `${TRACE}/1;o=0` }, {}, false],
    ['the caller says: where its trace is', { traceparent: `00-${TRACE}-${SPAN}-01` }, {}, true],
    ['is said by OTEL_TRACES_SAMPLER, whatever the caller says', UNSAMPLED, { OTEL_TRACES_SAMPLER: 'always_on' }, true],
    ['is said by it where the caller says nothing', {}, { OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, false],
    ['goes without saying where nobody says anything', {}, {}, true],
  ] as const)('%s', async ([, headers, env, kept], { serveIngest, onTestFinished }) => {
    const collector = await startCollector(onTestFinished);
    const { tracer, lines } = tracerTo(collector.url, env);
    onTestFinished(() => tracer.close());
    const { port, publisher, log } = await serveIngest(undefined, tracer);
    const body = webhook();
    expect((await send(port, body, { ...signed(body), ...headers })).status).toBe(200);
    const last = { traceparent: `00-${'a'.repeat(32)}-${SPAN}-01` };
    tracer.begin('last', { kind: 'server', from: last }).end(); // kept in each case, and sent after all others
    await until(() => collector.spans.some(({ name }) => name === 'last'));

    const [, trace = '', span = '', flags] =
      publisher.published[0]?.message.attributes['ce-traceparent']?.split('-') ?? [];
    if (Object.keys(headers).length > 0) expect(trace).toBe(TRACE); // it goes on, kept or not
    expect(flags).toBe(kept ? '01' : '00');
    const spans = collector.spans.slice(0, -1).map(({ name, traceId }) => `${name} ${traceId}`);
    expect(spans).toEqual(kept ? [`publish ${trace}`, `ingest ${trace}`] : []);
    const { 'logging.googleapis.com/trace': logged, ...rest } = log()[0] ?? {};
    expect(logged).toBe(`projects/heron-test/traces/${trace}`);
    expect(rest['logging.googleapis.com/spanId']).toBe(kept ? span : undefined);
    expect(lines).toEqual([]);
  });

  test('is told of where OTEL_TRACES_SAMPLER is nonsense, which OpenTelemetry passes over', async ({
    onTestFinished,
  }) => {
    const { tracer, lines } = tracerTo('http://127.0.0.1:1', { OTEL_TRACES_SAMPLER: 'always' });
    onTestFinished(() => tracer.close());
    expect(lines).toEqual([{ message: expect.stringMatching(/^OpenTelemetry: OTEL_TRACES_SAMPLER value "always"/) }]);
  });
});
