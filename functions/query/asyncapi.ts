import type { JsonObject } from '../heron/json.ts';
import { DELETED_TRANSACTIONS, END_USER, payloadSchema } from '../heron/payloads.ts';
import { sampleWebhook } from '../heron/sample.ts';
import topics from '../heron/topics.json' with { type: 'json' };

type Told = { readonly topic: string; readonly when?: string; readonly deprecated?: boolean };

type Json = { readonly [member: string]: unknown };

/** Schemas with a name of their own. */
const NAMED = new Map<unknown, string>([
  [END_USER, 'EndUser'],
  [DELETED_TRANSACTIONS, 'DeletedTransactions'],
]);

const text = (description: string) => ({ type: 'string', description });

/**
 * A message's attributes beside `ce-type`, which every message has of its own: those of a CloudEvent. Where a push is
 * not wrapped they are its headers.
 */
const ATTRIBUTES = {
  'ce-specversion': { const: '1.0' },
  'ce-id': {
    ...text('The event’s id: lower-case hex SHA-256 of the data. Be idempotent by it.'),
    pattern: '^[0-9a-f]{64}$',
  },
  'ce-source': { const: 'https://app.herondata.io' },
  'ce-time': { ...text('`created`, RFC 3339 in UTC. Compare it: messages come in no order.'), format: 'date-time' },
  'ce-subject': text('The end user’s heron_id.'),
  'ce-enduserid': text('Your own id of that end user.'),
  'ce-status': text('The status that the event carries. In filters: `attributes."ce-status" = "processed"`.'),
  'ce-recordedtime': { ...text('When it was received from Heron, RFC 3339 in UTC.'), format: 'date-time' },
  'ce-traceparent': text('The trace that it belongs to, as W3C writes it; only where there is one.'),
  'ce-replayid': text('Which replay sent it again; only on what one did. What must not happen twice stays off.'),
  'Content-Type': {
    enum: ['application/json', 'application/octet-stream'],
    description: 'The latter where the data is not JSON.',
  },
};

const CREATED = {
  ...text('When Heron sent it, in ISO 8601; without an offset it is UTC.'),
  examples: ['2021-05-20T09:23:53+00:00', '2026-08-14T12:24:38.137886'],
};
const META = { type: ['object', 'null'], description: 'The end user’s metadata, as you gave it to Heron.' };
const UNDOCUMENTED = {
  type: 'object',
  description:
    'Heron does not document it: any object, which may name its end user (`end_user_id`, `end_user_heron_id`, `end_user.heron_id`) or not. `heron schema` learns its shape from the events that you have.',
};

/** What the topic is that takes what has no other. */
const UNROUTED: Told = {
  topic: 'unrouted',
  when: 'Heron signed it, but does not document its topic, or it is not of the documented shape, be it not even JSON: the data may be anything',
};

/** What is published, as AsyncAPI 3: a channel a topic. */
export function asyncapi(): Json {
  const all: readonly Told[] = [...topics, UNROUTED];
  const each = (prefix: string, value: (told: Told) => Json) =>
    Object.fromEntries(all.map((told) => [`${prefix}${told.topic}`, value(told)]));
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Heron webhooks: events',
      version: '1',
      description:
        'What Heron’s webhooks become on Google Cloud Pub/Sub: a topic each, a message each, whose data is the webhook’s body, byte for byte, and whose attributes make it a CloudEvent in binary mode. Delivery is at least once and in no order. Heron documents few payloads: those of the others are said to be undocumented. Schemas are JSON Schema; more members than they name may come.',
    },
    defaultContentType: 'application/json',
    servers: {
      pubsub: {
        host: 'pubsub.googleapis.com',
        protocol: 'googlepubsub',
        description: 'Where the deployment has a prefix, it stands before each channel’s address.',
      },
    },
    channels: each('', ({ topic, when }) => ({
      address: topic,
      ...(when && { description: when }),
      messages: { event: { $ref: `#/components/messages/${topic}` } },
    })),
    operations: each('send.', ({ topic }) => ({
      action: 'send',
      channel: { $ref: `#/channels/${topic}` },
      messages: [{ $ref: `#/channels/${topic}/messages/event` }],
    })),
    components: {
      messages: each('', message),
      messageTraits: {
        cloudEvent: {
          headers: {
            type: 'object',
            description:
              'The message’s attributes; of an unwrapped push, headers. One is left out where the webhook does not say it, or a header could not carry it as it is: over 1,024 bytes, not printable ASCII, with a % or an outer space.',
            required: ['ce-specversion', 'ce-id', 'ce-source', 'ce-recordedtime', 'Content-Type'],
            properties: ATTRIBUTES,
          },
          bindings: {
            googlepubsub: { bindingVersion: '0.2.0', attributes: { 'ce-type': {}, ...ATTRIBUTES } },
          },
        },
      },
      schemas: {
        ...Object.fromEntries([...NAMED].map(([schema, name]) => [name, schema])),
        ...Object.fromEntries(topics.map((told) => [told.topic, webhookSchema(told)])),
      },
    },
  };
}

function message({ topic, when, deprecated }: Told): Json {
  const isRouted = topic !== UNROUTED.topic;
  const schema = payloadSchema(topic);
  return {
    name: topic,
    ...(when && { summary: when }),
    tags: [{ name: schema === null ? 'undocumented' : 'documented' }, ...(deprecated ? [{ name: 'deprecated' }] : [])],
    traits: [{ $ref: '#/components/messageTraits/cloudEvent' }],
    headers: {
      type: 'object',
      ...(isRouted && { required: ['ce-type'], properties: { 'ce-type': { const: topic } } }),
    },
    payload: isRouted ? { $ref: `#/components/schemas/${topic}` } : {},
    ...(schema !== null && { examples: [{ name: 'made-up', payload: example(topic) }] }),
  };
}

/** A webhook of a topic, by itself: what is referred to stands beside it. */
function webhookSchema({ topic, deprecated }: Told): Json {
  const schema = payloadSchema(topic);
  const name = NAMED.get(schema);
  return {
    type: 'object',
    ...(deprecated && { deprecated }),
    required: ['topic', 'created', 'data'],
    properties: {
      topic: { const: topic },
      created: CREATED,
      data: name === undefined ? UNDOCUMENTED : { $ref: `#/components/schemas/${name}` },
      meta: META,
    },
  };
}

function example(topic: string): JsonObject {
  return sampleWebhook(topic, 'myenduser', Date.parse('2026-08-14T12:24:38.137Z'), 886);
}
