import { describe, expect, test } from 'vitest';
import { UNROUTED } from '../../functions/bus/topology.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { parseWebhook } from '../../functions/heron/webhook.ts';
import { destinationOf } from '../../functions/ingest/destination.ts';
import { webhook } from './served.ts';

const destinationOfBody = (body: string | Buffer) => destinationOf(parseWebhook(Buffer.from(body)));

describe('the destination of a webhook', () => {
  test('is its own topic, for every topic of Heron', () => {
    for (const topic of HERON_TOPICS) expect(destinationOfBody(webhook({ topic }))).toEqual({ topic, why: null });
  });

  test('is the canary’s for doctor’s own, and for no other end user', () => {
    const to = (heron_id: string) => destinationOfBody(webhook({ topic: 'doctor.canary', data: { heron_id } }));
    expect(to('eus_canary')).toEqual({ topic: 'doctor.canary', why: null });
    for (const other of ['eus_canary2', 'eus_Eqio3Y4dhyNiMphrXwG58p', 'canary', ''])
      expect(to(other)).toEqual({ topic: UNROUTED, why: 'Heron does not document the topic' });
    expect(destinationOfBody(webhook({ data: { heron_id: 'eus_canary' } })).topic).toBe('end_user.processed');
    const odd = webhook({ topic: 'doctor.canary', created: 'yesterday', data: { heron_id: 'eus_canary' } });
    expect(destinationOfBody(odd)).toEqual({ topic: UNROUTED, why: 'created is not a time' });
  });

  test.for<[string, string | Buffer, string]>([
    ['an unknown topic', webhook({ topic: 'end_user.exploded' }), 'Heron does not document the topic'],
    ["the name of a topic that is not Heron's", webhook({ topic: 'dead-letter.projector' }), 'Heron does not document'],
    ['the name of unrouted', webhook({ topic: UNROUTED }), 'Heron does not document'],
    ['a topic that every object has', webhook({ topic: 'toString' }), 'Heron does not document'],
    ['no topic', webhook({ topic: undefined }), 'topic is not a text'],
    ['a time that is none', webhook({ created: 'yesterday' }), 'created is not a time'],
    ['no data', webhook({ data: undefined }), 'data is not an object'],
    ['an array', `[${webhook()}]`, 'the body is not a JSON object'],
    ['malformed JSON', '{"topic": "', 'the body is not JSON'],
    ['no body at all', '', 'the body is not JSON'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x80]), 'the body is not UTF-8'],
  ])('with %s is unrouted, and why is told', ([, body, why]) => {
    expect(destinationOfBody(body)).toEqual({ topic: UNROUTED, why: expect.stringContaining(why) });
  });
});
