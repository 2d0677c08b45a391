import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messageIds, publishRequest } from '../../functions/bus/publish-wire.ts';
import { publisherService } from './outage/fake-pubsub.ts';

// What Google's own description of Pub/Sub makes of it: an update that changes it fails here.
const { requestDeserialize, responseSerialize } = publisherService().Publish;

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([prefix, message]);
}

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.string({ minLength: 120, maxLength: 140 }));
const message = fc.record({
  data: fc.uint8Array({ maxLength: 400 }),
  attributes: fc.dictionary(
    fc.string({ unit: 'binary', minLength: 1 }).filter((key) => key !== '__proto__'),
    text,
  ),
});

describe('a publish', () => {
  test('is read by Google’s description of it as it was meant, whatever it holds', () => {
    fc.assert(
      fc.property(text, fc.array(message, { maxLength: 5 }), (topic, messages) => {
        const request = publishRequest(topic, messages);
        expect(request[0]).toBe(0);
        expect(request.readUInt32BE(1)).toBe(request.length - 5);
        const read = requestDeserialize(request.subarray(5));
        expect(read.topic).toBe(topic);
        expect(
          read.messages.map(({ data, attributes }) => ({ data: [...data], attributes: { ...attributes } })),
        ).toEqual(messages.map(({ data, attributes }) => ({ data: [...data], attributes: { ...attributes } })));
      }),
    );
  });

  test.each([0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 9_999_000])('holds %d bytes', (bytes) => {
    const data = Buffer.alloc(bytes, 'x');
    const { messages } = requestDeserialize(publishRequest('t', [{ data, attributes: { a: 'b' } }]).subarray(5));
    expect(messages).toHaveLength(1);
    expect(data.equals(messages[0]?.data ?? Buffer.alloc(1))).toBe(true);
  });
});

describe('an answer', () => {
  const ids = fc.array(text);

  test('has the ids that Google’s description puts there, in order', () => {
    fc.assert(
      fc.property(ids, (messageIdsThere) => {
        expect(messageIds(framed(responseSerialize({ messageIds: messageIdsThere })))).toEqual(messageIdsThere);
      }),
    );
  });

  test('may have fields that are not known yet', () => {
    const unknown = [
      [0x10, 0x96, 0x01], // 2, a number
      [0x19, 1, 2, 3, 4, 5, 6, 7, 8], // 3, eight bytes
      [0x22, 2, 0x0a, 0x01], // 4, bytes that look like an id
      [0x2d, 1, 2, 3, 4], // 5, four bytes
    ];
    for (const field of unknown) {
      const id = responseSerialize({ messageIds: ['7'] });
      expect(messageIds(framed(Buffer.from([...field, ...id, ...field, ...id])))).toEqual(['7', '7']);
    }
  });

  test('that is cut off, longer than it says, compressed or anything else is none', () => {
    const whole = framed(responseSerialize({ messageIds: ['1', '22', '333'] }));
    for (let bytes = 0; bytes < whole.length; bytes++)
      expect(() => messageIds(whole.subarray(0, bytes)), `${bytes}`).toThrow(RangeError);
    expect(() => messageIds(Buffer.concat([whole, whole]))).toThrow(RangeError);
    expect(() => messageIds(Buffer.concat([Buffer.from([1]), whole.subarray(1)]))).toThrow(RangeError);
    // A length beyond the end, a tag without anything, and kinds that there are not.
    for (const bytes of [[0x0a, 0x05, 0x31], [0x0a], [0x0b, 0x01], [0x0e, 0x01], [0x10, 0x80]])
      expect(() => messageIds(framed(Buffer.from(bytes))), String(bytes)).toThrow(RangeError);
  });

  test('of any bytes is ids or none, and never takes long', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          for (const id of messageIds(framed(bytes))) expect(id).toBeTypeOf('string');
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});
