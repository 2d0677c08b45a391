import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cause, toDeadLetter, toldBy, withoutCause } from '../../functions/events/dead-letter.ts';
import type { Instant } from '../../functions/heron/instant.ts';

const data = Buffer.from('{}');
const CAUSE = {
  subscriber: 'reader',
  reason: 'the event cannot be folded',
  messageId: '7',
  publishTime: '2026-08-14T12:24:39.749000Z' as Instant,
  subscription: 'projects/heron/subscriptions/reader.end_user.processed',
  deliveryAttempt: 3,
};
const BARE = { subscriber: 'reader', reason: 'new' };
const dead = (attributes: Record<string, string>, cause: Cause = BARE) => toDeadLetter({ data, attributes }, cause);

describe('a dead letter', () => {
  test('says beside the attributes of its message why it is one, and where it came from', () => {
    expect(dead({ 'ce-type': 'end_user.processed' }, CAUSE)).toEqual({
      data,
      attributes: {
        'ce-type': 'end_user.processed',
        dead_letter_reason: 'the event cannot be folded',
        dead_letter_subscriber: 'reader',
        dead_letter_message_id: '7',
        dead_letter_publish_time: '2026-08-14T12:24:39.749000Z',
        dead_letter_subscription: 'projects/heron/subscriptions/reader.end_user.processed',
        dead_letter_deliveries: '3',
      },
    });
  });

  test.each<[string, Partial<Cause>]>([
    ['is not given', {}],
    ['is empty', { messageId: '', publishTime: null, subscription: '', deliveryAttempt: null }],
  ])('says nothing of what %s', (_, cause) => {
    expect(dead({}, { ...BARE, ...cause }).attributes).toEqual({
      dead_letter_reason: 'new',
      dead_letter_subscriber: 'reader',
    });
  });

  test('says nothing of an earlier death', () => {
    const earlier = { dead_letter_reason: 'old', CloudPubSubDeadLetterSourceDeliveryCount: '100', own: 'x' };
    expect(dead(earlier).attributes).toEqual({
      own: 'x',
      dead_letter_reason: 'new',
      dead_letter_subscriber: 'reader',
    });
  });

  test('keeps as many attributes as Pub/Sub takes', () => {
    const attributes = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`key-${n}`, 'x']));
    const buried = dead(attributes, CAUSE).attributes;
    expect(Object.keys(buried)).toHaveLength(100);
    expect(buried).toMatchObject({ dead_letter_reason: CAUSE.reason, 'key-93': 'x' });
  });

  test('always has a reason, which an attribute holds: all of it, or as many characters as fit', () => {
    const reasonOf = (reason: string) => dead({}, { ...BARE, reason }).attributes.dead_letter_reason ?? '';
    expect(reasonOf('')).toBe('no reason given');
    const texts = fc
      .tuple(fc.string({ unit: 'binary', minLength: 1 }), fc.constantFrom(1, 200, 2_000))
      .map(([text, times]) => text.repeat(times));
    fc.assert(
      fc.property(texts, (text) => {
        const reason = reasonOf(text);
        expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(1_024);
        expect(text.startsWith(reason)).toBe(true);
        const [next = ''] = text.slice(reason.length);
        if (reason !== text) expect(Buffer.byteLength(reason + next)).toBeGreaterThan(1_024);
      }),
    );
  });

  test('without its cause is the message that it was', () => {
    const attributes = fc.dictionary(fc.stringMatching(/^[a-z-]{1,9}$/), fc.string(), { maxKeys: 94 });
    fc.assert(
      fc.property(attributes, fc.constantFrom(BARE, CAUSE), (attributes, cause) => {
        expect(withoutCause(dead(attributes, cause))).toEqual({ data, attributes });
      }),
    );
  });
});

describe('what a dead letter tells', () => {
  const NOTHING = {
    reason: null,
    subscriber: null,
    messageId: null,
    publishTime: null,
    subscription: null,
    deliveries: null,
  };
  const googles = {
    CloudPubSubDeadLetterSourceDeliveryCount: '5',
    CloudPubSubDeadLetterSourceSubscription: 'reader.end_user.failed',
    CloudPubSubDeadLetterSourceTopicPublishTime: '2026-08-14T12:24:38Z',
  };

  test('is what its subscriber said', () => {
    expect(toldBy(dead({}, CAUSE))).toEqual({
      reason: CAUSE.reason,
      subscriber: 'reader',
      messageId: '7',
      publishTime: CAUSE.publishTime,
      subscription: CAUSE.subscription,
      deliveries: '3',
    });
    const { data, attributes } = dead({}, CAUSE);
    expect(toldBy({ data, attributes: { ...attributes, ...googles } })).toEqual(toldBy(dead({}, CAUSE)));
  });

  test('is what Pub/Sub says where that gave it up', () => {
    expect(toldBy({ data, attributes: googles })).toEqual({
      ...NOTHING,
      publishTime: '2026-08-14T12:24:38Z',
      subscription: 'reader.end_user.failed',
      deliveries: '5',
    });
  });

  test('is nothing where it is none', () => {
    expect(toldBy({ data, attributes: { reason: 'x' } })).toEqual(NOTHING);
  });
});
