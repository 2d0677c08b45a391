import type { Message } from '../events/message.ts';

/**
 * Pub/Sub's `PublishRequest` and `PublishResponse` as protocol buffers write them: texts and bytes behind their lengths,
 * and nothing else, so that they take a tenth of what a general encoder does. Held against Google's description of both
 * by a test.
 * Source: https://github.com/googleapis/googleapis/blob/master/google/pubsub/v1/pubsub.proto,
 * https://protobuf.dev/programming-guides/encoding/
 */

/** A field's number, and that it has a length: one byte, here and in what follows as a letter. */
const PUBLISH_REQUEST = { topic: '\x0a', messages: '\x12' } as const;
const PUBSUB_MESSAGE = { data: '\x0a', attributes: '\x12' } as const;
const MAP_ENTRY = { key: '\x0a', value: '\x12' } as const;
const MESSAGE_IDS = 0x0a;

/** What follows a tag, by its last three bits. */
const [VARINT, FIXED_64, LENGTH, FIXED_32] = [0, 1, 2, 5];

/** gRPC leads a message with whether it is compressed, and its length in four bytes. */
const PREFIX_BYTES = 5;

/** A request with gRPC's prefix. @param topic `projects/P/topics/T`. */
export function publishRequest(topic: string, messages: readonly Message[]): Buffer {
  const start = field(PUBLISH_REQUEST.topic, bytesOf(topic));
  const heads = messages.map(headOf);
  let size = start.length;
  for (const [i, { data }] of messages.entries()) size += (heads[i] ?? '').length + data.byteLength;
  const request = Buffer.allocUnsafe(PREFIX_BYTES + size);
  request[0] = 0;
  let at = request.writeUInt32BE(size, 1);
  at += request.write(start, at, 'latin1');
  for (const [i, { data }] of messages.entries()) {
    at += request.write(heads[i] ?? '', at, 'latin1');
    request.set(data, at);
    at += data.byteLength;
  }
  return request;
}

/** All of a message but its data, which comes last. Bytes as letters: joined and written by V8 far faster than one by one. */
function headOf({ data, attributes }: Message): string {
  let head = '';
  for (const key in attributes) {
    const entry = field(MAP_ENTRY.key, bytesOf(key)) + field(MAP_ENTRY.value, bytesOf(attributes[key] ?? ''));
    head += field(PUBSUB_MESSAGE.attributes, entry);
  }
  head += PUBSUB_MESSAGE.data + lengthOf(data.byteLength);
  return PUBLISH_REQUEST.messages + lengthOf(head.length + data.byteLength) + head;
}

function field(tag: string, content: string): string {
  return tag + lengthOf(content.length) + content;
}

const SHORT = Array.from({ length: 0x80 }, (_, byte) => String.fromCharCode(byte));

/** Seven bits a byte, the least first; all but the last have the eighth set. */
function lengthOf(bytes: number): string {
  let text = '';
  let rest = bytes;
  for (; rest > 0x7f; rest >>>= 7) text += String.fromCharCode((rest & 0x7f) | 0x80);
  return text + SHORT[rest];
}

const ASCII = /^[\0-\x7f]*$/;

/** A text's bytes in UTF-8, as letters. */
function bytesOf(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text).toString('latin1');
}

/** The ids in a response with gRPC's prefix, in the order of the messages. @throws RangeError where it is none. */
export function messageIds(response: Buffer): string[] {
  const size = response.length - PREFIX_BYTES;
  if (size < 0 || response[0] !== 0 || response.readUInt32BE(1) !== size) throw new RangeError('no gRPC message');
  const ids: string[] = [];
  let at = PREFIX_BYTES;
  const number = () => {
    let value = 0;
    for (let weight = 1; ; weight *= 0x80) {
      const byte = response.readUInt8(at++);
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
    }
  };
  while (at < response.length) {
    const tag = number();
    // Fields that are not known here are passed over.
    let bytes = 0;
    switch (tag & 7) {
      case VARINT:
        number();
        break;
      case LENGTH:
        bytes = number();
        break;
      case FIXED_64:
        bytes = 8;
        break;
      case FIXED_32:
        bytes = 4;
        break;
      default:
        malformed();
    }
    const end = at + bytes;
    if (end > response.length) malformed();
    if (tag === MESSAGE_IDS) ids.push(response.toString('utf8', at, end));
    at = end;
  }
  return ids;
}

function malformed(): never {
  throw new RangeError('no protocol buffer, or not all of it');
}
