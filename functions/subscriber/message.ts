import { parseInstant, rfc3339 } from '../heron/instant.ts';
import { isRecord } from '../heron/json.ts';
import { isDeep, MAX_LEVELS } from '../heron/scan.ts';

/** What Heron sent, as far as its body can be read. */
export type Received = {
  /** Lower-case hex SHA-256 of the body: Heron sends no id, and what it sends again has the same bytes. */
  readonly id: string;
  /** `<resource>.<event>`; null where the body names none. */
  readonly topic: string | null;
  /** When Heron sent it, RFC 3339 in UTC, with microseconds where there are any; null where the body has no time. */
  readonly created: string | null;
  /** As JSON has it; undefined where the body has none. */
  readonly data: unknown;
  /** The end user's metadata. */
  readonly meta: Readonly<Record<string, unknown>> | null;
  /** Byte for byte. `data` holds numbers as JavaScript can: where digits past 2^53 matter, they are here. */
  readonly body: Uint8Array;
};

/** What Pub/Sub says of a message. */
export type Message = {
  /** The CloudEvents attributes, `ce-…` and `Content-Type`; of a wrapped or pulled message, all attributes. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly messageId: string | undefined;
  /** RFC 3339. */
  readonly publishTime: string | undefined;
  /** `projects/P/subscriptions/S`. */
  readonly subscription: string | undefined;
};

export type Envelope = Message & {
  /** How often it was delivered, this time included; undefined where nobody says (unwrapped pushes, the emulator). */
  readonly attempt: number | undefined;
};

/** A message that is an event, however it came. */
export type Delivery = Envelope & {
  readonly received: Received;
  /** Why it is not the shape that Heron documents, or null where it is. */
  readonly undocumented: string | null;
};

/** A message that is not an event of ours. */
export type Foreign = Envelope & {
  readonly data: Uint8Array;
  /** Whether it is a message of Pub/Sub's at all; where it is not, `data` is the request's body. */
  readonly isMessage: boolean;
};

/** What is not an event of ours: `message` says why, and quotes nothing of it. */
export class NotAnEvent extends Error {
  override readonly name = 'NotAnEvent';
  readonly foreign: Foreign;
  constructor(message: string, foreign: Foreign) {
    super(message);
    this.foreign = foreign;
  }
}

type Headers = (name: string) => string | undefined;

const NOTHING: Envelope = {
  attributes: {},
  attempt: undefined,
  messageId: undefined,
  publishTime: undefined,
  subscription: undefined,
};

/**
 * Reads a push request of either kind: a CloudEvent in HTTP binary mode (an unwrapped push with its metadata), or
 * Pub/Sub's own envelope around one.
 * Source: https://cloud.google.com/pubsub/docs/payload-unwrapping, https://cloud.google.com/pubsub/docs/push#receive_push
 * @param header by its name in lower case.
 * @param headerNames all there are, in lower case.
 * @throws NotAnEvent
 */
export async function readPush(header: Headers, headerNames: Iterable<string>, body: Uint8Array): Promise<Delivery> {
  if (header('ce-id') !== undefined || header('ce-specversion') !== undefined) {
    const names = [...headerNames].filter((name) => name.startsWith('ce-'));
    const attributes = Object.fromEntries(names.map((name) => [name, header(name) ?? '']));
    const type = header('content-type');
    return readMessage(body, type === undefined ? attributes : { ...attributes, 'Content-Type': type }, {
      attempt: undefined,
      messageId: header('x-goog-pubsub-message-id'),
      publishTime: header('x-goog-pubsub-publish-time'),
      subscription: header('x-goog-pubsub-subscription-name'),
    });
  }
  const noMessage = (why: string) => new NotAnEvent(why, { ...NOTHING, data: body, isMessage: false });
  const envelope = parseJson(body);
  if (!isRecord(envelope) || !isRecord(envelope.message))
    throw noMessage(
      'the request has no ce-id header and its body is not an envelope of Pub/Sub: an unwrapped push needs write_metadata = true',
    );
  const { data = '', attributes = {}, messageId, publishTime } = envelope.message;
  const bytes = typeof data === 'string' ? bytesOf(data) : null;
  if (bytes === null) throw noMessage('the message has data that is not base64');
  if (!isRecord(attributes) || !Object.entries(attributes).flat().every(isText))
    throw noMessage('the message has attributes that are not texts');
  const { deliveryAttempt, subscription } = envelope;
  return readMessage(bytes, attributes as Record<string, string>, {
    attempt: Number.isSafeInteger(deliveryAttempt) ? Number(deliveryAttempt) : undefined,
    messageId: textOf(messageId),
    publishTime: textOf(publishTime),
    subscription: textOf(subscription),
  });
}

/**
 * Reads a message by its data and attributes.
 * @throws NotAnEvent
 */
export async function readMessage(
  body: Uint8Array,
  attributes: Readonly<Record<string, string>>,
  envelope: Omit<Envelope, 'attributes'>,
): Promise<Delivery> {
  const foreign = (why: string) => new NotAnEvent(why, { ...envelope, attributes, data: body, isMessage: true });
  const { 'ce-id': id, 'ce-specversion': version, 'ce-type': type } = attributes;
  if (id === undefined) throw foreign('ce-id is missing: this is not a CloudEvent');
  if (version !== '1.0') throw foreign('ce-specversion is not 1.0: this is not a CloudEvent of that version');
  if (id !== (await sha256(body))) throw foreign('ce-id is not the SHA-256 of the body');
  const read = readBody(id, body, type);
  if (type !== undefined && read.received.topic !== type) throw foreign('ce-type is not the topic that the body names');
  return { ...envelope, attributes, ...read };
}

/** What a body says, each field by itself. @param type the topic where the body names none. */
export function readBody(id: string, body: Uint8Array, type?: string): Pick<Delivery, 'received' | 'undocumented'> {
  const json = parseJson(body);
  const { topic, created: time } = isRecord(json) ? json : {};
  const created = parseInstant(time);
  const fields = whileMemoryLasts(fieldsOf(json), () => fieldsOf(parseJson(body)));
  return {
    undocumented: flawOf(json),
    received: {
      id,
      topic: textOf(topic) ?? type ?? null,
      created: created === null ? null : rfc3339(created),
      get data() {
        return fields().data;
      },
      get meta() {
        return fields().meta;
      },
      body,
    },
  };
}

function flawOf(json: unknown): string | null {
  if (json === undefined) return `the body is not JSON, or nested over ${MAX_LEVELS.toLocaleString('en')} levels`;
  if (!isRecord(json)) return 'the body is not a JSON object';
  const { topic, created, data, meta } = json;
  if (textOf(topic) === undefined) return 'topic is not a text';
  if (parseInstant(created) === null) return 'created is not a time';
  if (!isRecord(data)) return 'data is not an object';
  return meta === undefined || meta === null || isRecord(meta) ? null : 'meta is neither null nor an object';
}

function fieldsOf(json: unknown): Pick<Received, 'data' | 'meta'> {
  const { data, meta } = isRecord(json) ? json : {};
  return { data, meta: isRecord(meta) ? meta : null };
}

/**
 * A value for as long as there is memory, and then made again: a body of 10 MB may be ten times that in objects, and not
 * every handler looks at them. Once somebody has, it stays.
 */
function whileMemoryLasts<T extends object>(value: T, make: () => T): () => T {
  const held = new WeakRef(value);
  let kept: T | undefined;
  return () => {
    kept ??= held.deref() ?? make();
    return kept;
  };
}

/**
 * The name of the subscriber that a subscription belongs to: it is `NAME.TOPIC` or `replay.NAME`, prefix and all.
 * Terraform lets no subscriber be named `replay` or `unrouted`, and a name has no dot.
 * @param prefix where it is known; else it stays part of the name.
 * @returns undefined where the subscription is not of that form.
 */
export function subscriberOf(subscription: string | undefined, prefix = ''): string | undefined {
  const full = subscription?.split('/').at(-1) ?? '';
  if (!full.startsWith(prefix)) return undefined;
  const name = full.slice(prefix.length);
  const [, before, replayed] = /^(.*)replay\.([a-z0-9-]+)$/.exec(name) ?? [];
  if (replayed !== undefined && replayed !== 'unrouted') return `${before}${replayed}`;
  return /^(.+?)\.(?:[^.]+\.[^.]+|unrouted)$/.exec(name)?.[1];
}

/**
 * What the names of `heron listen`'s subscriptions begin with: an underscore is in no subscriber's, and in no prefix of
 * Terraform's.
 */
export const LISTENER = 'listen_';

/** Whether a name, with or without a prefix, is that of a listener. */
export function isListeners(name: string): boolean {
  return name.includes(LISTENER);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

type Native = {
  readonly hash?: (name: 'sha256', bytes: Uint8Array, encoding: 'hex') => string;
  readonly Buffer?: { from(text: string, encoding: 'base64'): Uint8Array & { toString(encoding: 'base64'): string } };
};

/** A module of Node's where there is one, and nothing is imported that another server has not. */
function nodes(module: 'crypto' | 'buffer'): Native {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => Native } };
  return process?.getBuiltinModule?.(`node:${module}`) ?? {};
}

/** The web's goes through a pool of threads: some twenty times the CPU, for a message of the usual size. */
const { hash } = nodes('crypto');
/** Ten megabytes in a fifth of the time. */
const { Buffer: NodeBuffer } = nodes('buffer');

async function sha256(bytes: Uint8Array): Promise<string> {
  if (hash !== undefined) return hash('sha256', bytes, 'hex');
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** undefined where it is not JSON in UTF-8, or nested so deep that parsing it would hold up all else. */
function parseJson(body: Uint8Array): unknown {
  try {
    const text = utf8.decode(body);
    return isDeep(text) ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** null where it is not base64 of the standard alphabet, with padding, as only one text stands for the same bytes. */
function bytesOf(base64: string): Uint8Array | null {
  if (NodeBuffer !== undefined) {
    const bytes = NodeBuffer.from(base64, 'base64');
    return bytes.toString('base64') === base64 ? bytes : null;
  }
  // `atob` alone skips white space, and bits that mean nothing.
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*(?:[AQgw]==|[AEIMQUYcgkosw048]=)?$/.test(base64)) return null;
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** A text that Pub/Sub would take back: what is dead-lettered is published again. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}

function textOf(value: unknown): string | undefined {
  return isText(value) && value !== '' ? value : undefined;
}
