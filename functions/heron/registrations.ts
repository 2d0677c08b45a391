import { isFields, jsonOf, UnexpectedAnswer } from './answers.ts';
import type { JsonObject } from './json.ts';

/** A registration with Heron: it sends one topic to one address. */
export type Registration = {
  readonly heron_id: string;
  readonly topic: string;
  readonly url: string;
  readonly is_enabled: boolean;
};

/** What is to be done with Heron, so that it sends what is wanted. */
export type Step =
  | { readonly kind: 'create'; readonly topic: string }
  | { readonly kind: 'enable' | 'keep' | 'delete'; readonly topic: string; readonly registration: Registration };

/**
 * What must change so that each of the topics goes to the address. Registrations that lead elsewhere are nobody's
 * business here; those of other topics that lead there are deleted only where that is wanted.
 */
export function planOf(
  registered: readonly Registration[],
  topics: readonly string[],
  url: string,
  deleteOthers: boolean,
): readonly Step[] {
  const here = registered.filter((registration) => isSameAddress(registration.url, url));
  const wanted = [...new Set(topics)].map((topic): Step => {
    const found = here.filter((registration) => registration.topic === topic);
    const [registration] = found.toSorted((a, b) => Number(b.is_enabled) - Number(a.is_enabled));
    if (registration === undefined) return { kind: 'create', topic };
    return { kind: registration.is_enabled ? 'keep' : 'enable', topic, registration };
  });
  const others = deleteOthers ? here.filter(({ topic }) => !topics.includes(topic)) : [];
  return [
    ...wanted,
    ...others.map((registration): Step => ({ kind: 'delete', topic: registration.topic, registration })),
  ];
}

/** `https://x` and `https://x/` are one address. */
function isSameAddress(a: string, b: string): boolean {
  const [one, other] = [a, b].map((address) => URL.parse(address)?.href ?? address);
  return one === other;
}

/** Reads `{webhooks: […]}`. @throws UnexpectedAnswer */
export function registrationsOf(text: string): readonly Registration[] {
  const { webhooks } = objectOf(text, 'the list of webhooks');
  if (!Array.isArray(webhooks)) throw new UnexpectedAnswer('The list of webhooks has no member webhooks.');
  return webhooks.map((webhook) => {
    const { heron_id, topic, url, is_enabled } = isFields(webhook) ? webhook : {};
    if (typeof heron_id !== 'string' || typeof topic !== 'string' || typeof url !== 'string')
      throw new UnexpectedAnswer('A webhook of the list lacks heron_id, topic or url.');
    return { heron_id, topic, url, is_enabled: is_enabled !== false };
  });
}

/** Reads `{topics: […]}`: those that Heron sends today. @throws UnexpectedAnswer */
export function topicsOf(text: string): readonly string[] {
  const { topics } = objectOf(text, 'the list of topics');
  if (!Array.isArray(topics) || !topics.every((topic) => typeof topic === 'string'))
    throw new UnexpectedAnswer('The list of topics has no member topics with texts.');
  return topics;
}

function objectOf(text: string, what: string): JsonObject {
  const json = jsonOf(text, what);
  if (!isFields(json)) throw new UnexpectedAnswer(`What Heron's API answered for ${what} is not an object.`);
  return json;
}
