import { PubSub } from '@google-cloud/pubsub';
import { describe, expect, test } from 'vitest';
import { provision } from '../../functions/bus/provision.ts';
import { topology } from '../../functions/bus/topology.ts';
import { freePort } from '../../functions/local/emulators.ts';
import { emulatorEnv, hasFirestore, hasPubSub, newProject } from '../emulators.ts';
import { FunctionProcess } from '../ingest/process.ts';
import { SECRET, signed, webhook } from '../ingest/served.ts';
import { send } from '../ingest/wire.ts';
import { until } from '../until.ts';
import { startCollector } from './collector.ts';

const TRACE = '105445aa7843bc8bf206b12000100000';
const HERON_SPAN = '00f067aa0ba902b7';
/** Longer than any test: what comes, comes as the process ends. */
const NEVER = { OTEL_BSP_SCHEDULE_DELAY: '600000' };

function environment(projectId: string, url: string): NodeJS.ProcessEnv {
  return {
    GOOGLE_CLOUD_PROJECT: projectId,
    HERON_SHARED_SECRET: SECRET,
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    ...emulatorEnv,
  };
}

/** A project in which ingest can publish. */
async function publishable(): Promise<string> {
  const projectId = newProject();
  const pubsub = new PubSub({ projectId });
  await Promise.all(['end_user.processed', 'unrouted'].map((topic) => pubsub.createTopic(topic)));
  await pubsub.close();
  return projectId;
}

test.skipIf(!hasPubSub || !hasFirestore)(
  'one trace leads from Heron’s request to the write of the state, in spans and in log lines',
  async ({ onTestFinished }) => {
    const collector = await startCollector(onTestFinished);
    const projectId = newProject();
    const env = { ...environment(projectId, collector.url), ...NEVER };
    const projector = await (await FunctionProcess.spawn('projector', env, onTestFinished)).ready();
    await provision({ projectId, topicPrefix: '' }, topology('projector', `http://127.0.0.1:${projector.port}/`));
    const ingest = await (await FunctionProcess.spawn('ingest', env, onTestFinished)).ready();

    expect((await send(ingest.port, '', {}, { method: 'POST' })).status).toBe(401); // a stranger's has no span
    const body = webhook();
    const traceparent = `00-${TRACE}-${HERON_SPAN}-01`;
    expect((await send(ingest.port, body, { ...signed(body), traceparent })).status).toBe(200);
    await until(() => projector.log().some(({ outcome }) => outcome === 'recorded'));
    for (const each of [ingest, projector]) each.kill('SIGTERM');
    expect(await Promise.all([ingest.exited, projector.exited])).toEqual([0, 0]);

    const [{ event_id = undefined } = {}] = ingest.log().filter(({ outcome }) => outcome === 'published');
    const only = (name: string) => {
      const found = collector.spans.filter((span) => span.name === name);
      expect(found.map(({ traceId }) => traceId)).toEqual([TRACE]);
      return found[0];
    };
    expect(only('ingest')).toMatchObject({
      service: 'ingest',
      parentSpanId: HERON_SPAN,
      kind: 2,
      failed: false,
      attributes: { 'heron.outcome': 'published', 'heron.topic': 'end_user.processed', 'heron.event_id': event_id },
    });
    expect(only('publish')).toMatchObject({ service: 'ingest', parentSpanId: only('ingest')?.spanId, kind: 4 });
    expect(only('projector')).toMatchObject({
      service: 'projector',
      parentSpanId: only('ingest')?.spanId,
      kind: 5,
      failed: false,
      attributes: { 'heron.outcome': 'recorded', 'heron.event_id': event_id },
    });
    expect(only('append')).toMatchObject({ service: 'projector', parentSpanId: only('projector')?.spanId, kind: 3 });
    expect(collector.spans).toHaveLength(4);
    for (const [name, each] of Object.entries({ ingest, projector }))
      expect(each.log().find((line) => line.event_id === event_id)).toMatchObject({
        'logging.googleapis.com/trace': `projects/${projectId}/traces/${TRACE}`,
        'logging.googleapis.com/spanId': only(name)?.spanId,
        'logging.googleapis.com/trace_sampled': true,
      });
  },
);

describe.skipIf(!hasPubSub)('where the collector', () => {
  test('hangs, webhooks are answered, and the process ends as fast as ever', async ({ onTestFinished }) => {
    const collector = await startCollector(onTestFinished, 'hangs');
    const env = { ...environment(await publishable(), collector.url), OTEL_BSP_SCHEDULE_DELAY: '1' };
    const ingest = await (await FunctionProcess.spawn('ingest', env, onTestFinished)).ready();
    const post = async (n: number) => {
      const body = webhook({ meta: { n } });
      return (await send(ingest.port, body, signed(body))).status;
    };
    expect(await post(1)).toBe(200);
    await until(() => collector.asked() > 0);
    expect(await Promise.all([2, 3, 4].map(post))).toEqual([200, 200, 200]);
    ingest.kill('SIGTERM');
    expect(await ingest.exited).toBe(0); // 1 where it takes 8 s
  });

  test('is not there, webhooks are answered and published once, and the log says that spans are lost, once', async ({
    onTestFinished,
  }) => {
    const env = {
      ...environment(await publishable(), `http://127.0.0.1:${await freePort()}`),
      OTEL_BSP_SCHEDULE_DELAY: '1',
      OTEL_EXPORTER_OTLP_TIMEOUT: '100',
    };
    const ingest = await (await FunctionProcess.spawn('ingest', env, onTestFinished)).ready();
    const lines = (outcome: string) => ingest.log().filter((line) => line.outcome === outcome);
    for (let n = 0; n < 5; n++) {
      const body = webhook({ meta: { n } });
      expect((await send(ingest.port, body, signed(body))).status).toBe(200);
      await until(() => lines('spans_lost').length > 0);
    }
    expect(lines('published')).toHaveLength(5);
    expect(lines('spans_lost')).toEqual([
      expect.objectContaining({ severity: 'WARNING', error: expect.stringContaining('ECONNREFUSED') }),
    ]);
    ingest.kill('SIGTERM');
    expect(await ingest.exited).toBe(0);
    expect(ingest.stderr).toBe('');
  });
});
