import { Parser } from '@asyncapi/parser';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { UNROUTED } from '../../functions/bus/topology.ts';
import { clock, stopwatch } from '../../functions/clock.ts';
import { eventOf } from '../../functions/events/event.ts';
import { toMessage } from '../../functions/events/message.ts';
import { DOCUMENTED, undocumentedData } from '../../functions/heron/payloads.ts';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { asyncapi } from '../../functions/query/asyncapi.ts';
import { MemoryStore } from '../../functions/store/memory.ts';
import { payloadData } from '../heron/payload-data.ts';
import { ask, serve, stopServing } from './serving.ts';

afterAll(stopServing);

const { document, diagnostics } = await new Parser().parse(JSON.stringify(asyncapi()));
const messages = document?.channels().all() ?? [];
const messageOf = (topic: string) => document?.channels().get(topic)?.messages().get('event');

/** What is referred to was put in its place by the parser. */
const ajv = new Ajv({ strict: true, allowUnionTypes: true });
formats.default(ajv);
ajv.addKeyword({ keyword: 'x-parser-schema-id' });

function fits(schema: unknown, value: unknown): readonly unknown[] {
  const validate = ajv.compile(schema as object);
  validate(value);
  return validate.errors ?? [];
}

const webhookOf = (topic: string) => sampleWebhook(topic, 'acme-1', Date.parse('2026-08-14T12:24:38Z'), 7);

describe('/asyncapi.json', () => {
  it('is AsyncAPI 3, by its own parser, without an error or a warning', () => {
    expect(diagnostics.filter(({ severity }) => severity <= 1)).toEqual([]);
    expect(document?.version()).toBe('3.0.0');
  });

  it('is served, and the OpenAPI document leads there', async () => {
    const base = await serve({ store: new MemoryStore(clock), log: () => {}, clock, stopwatch });
    expect((await ask(base, '/asyncapi.json')).json).toEqual(asyncapi());
    expect((await ask(base, '/openapi.json')).json.externalDocs.url).toBe('/asyncapi.json');
  });

  it('has a channel and an operation for each topic, and for what has none', () => {
    const topics = [...HERON_TOPICS, UNROUTED];
    expect(messages.map((channel) => channel.address())).toEqual(topics);
    const operations = document?.operations().all() ?? [];
    expect(operations.map((each) => [each.action(), each.channels().all()[0]?.address()])).toEqual(
      topics.map((topic) => ['send', topic]),
    );
  });

  it('says which payloads are documented', () => {
    const tagged = (name: string) => HERON_TOPICS.filter((topic) => messageOf(topic)?.tags().has(name));
    expect(tagged('documented').sort()).toEqual(Object.keys(DOCUMENTED).sort());
    expect(tagged('undocumented')).toHaveLength(HERON_TOPICS.length - Object.keys(DOCUMENTED).length);
    expect(tagged('deprecated')).toEqual(['end_user.transactions_updated']);
    for (const topic of tagged('undocumented'))
      expect(JSON.stringify(messageOf(topic)?.payload()?.json())).toMatch(/Heron does not document it/);
  });

  it.each(HERON_TOPICS)('describes the message that is published: %s', (topic) => {
    const body = Buffer.from(JSON.stringify(webhookOf(topic)));
    const { attributes } = toMessage(eventOf(body, clock()), { traceparent: 't', replayid: 'r' });
    const message = messageOf(topic);
    expect(fits(message?.payload()?.json(), JSON.parse(body.toString()))).toEqual([]);
    expect(fits(message?.payload()?.json(), { ...webhookOf(topic), topic: 'another' })).not.toEqual([]);
    expect(fits(message?.headers()?.json(), attributes)).toEqual([]);
    expect(fits(message?.headers()?.json(), { ...attributes, 'ce-type': 'another' })).not.toEqual([]);
    const described = Object.keys(message?.headers()?.properties() ?? {});
    expect(Object.keys(attributes).filter((name) => !described.includes(name))).toEqual([]);
    for (const example of message?.examples().all() ?? [])
      expect(fits(message?.payload()?.json(), example.payload())).toEqual([]);
  });

  it('describes every attribute that a message may have, and no other', () => {
    const body = Buffer.from(JSON.stringify(webhookOf('end_user.processed')));
    const { attributes } = toMessage(eventOf(body, clock()), { traceparent: 't', replayid: 'r' });
    const message = messageOf('end_user.processed');
    expect(Object.keys(message?.headers()?.properties() ?? {}).sort()).toEqual(Object.keys(attributes).sort());
    const bound = message?.bindings().get('googlepubsub')?.value() as { attributes: object };
    expect(Object.keys(bound.attributes).sort()).toEqual(Object.keys(attributes).sort());
  });

  it('takes as documented what the subscriber kit does, and nothing else', () => {
    const data = payloadData(fc.constantFrom('x', 7, null, undefined));
    let [fitting, others] = [0, 0];
    fc.assert(
      fc.property(fc.constantFrom('end_user.failed', 'transactions.deleted'), data, (topic, made) => {
        const json = JSON.parse(JSON.stringify(made));
        const isFitting = fits(messageOf(topic)?.payload()?.json(), { ...webhookOf(topic), data: json }).length === 0;
        isFitting ? fitting++ : others++;
        expect(undocumentedData(topic, json) === null).toBe(isFitting);
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(fitting, others)).toBeGreaterThan(0);
  });
});
