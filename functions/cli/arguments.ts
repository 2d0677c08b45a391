import { InvalidArgumentError } from 'commander';
import { UNROUTED } from '../bus/topology.ts';
import { parseInstant } from '../heron/instant.ts';
import { HERON_TOPICS } from '../heron/topics.ts';
import type { LocalSubscriber } from '../local/running.ts';
import { isLoopback } from './query-api.ts';
import { matches } from './topic-pattern.ts';

/** Whom examples are about: always the same one, or two end users would share its id. */
export const SAMPLE_END_USER = 'myenduser';

export function positive(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('Give a whole number from 1.');
  return number;
}

export function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > 65_534)
    throw new InvalidArgumentError('Give a port from 1 to 65534.');
  return number;
}

/** Seconds. */
export function duration(text: string): number {
  const [, number, unit = 's'] = /^(\d+)(s|m|h)?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('Give a duration such as 90s, 5m or 1h.');
  return Number(number) * { s: 1, m: 60, h: 3600 }[unit as 's' | 'm' | 'h'];
}

export function instant(text: string): string {
  if (parseInstant(text) === null)
    throw new InvalidArgumentError('Give a time as RFC 3339 has it, such as 2026-08-14T12:24:39Z.');
  return text;
}

/** Without a scheme, what is on this machine speaks HTTP, and all else HTTPS. */
export function httpUrl(text: string): string {
  const scheme = /^[a-z][a-z+.-]*:\/\//i.test(text)
    ? ''
    : isLoopback(text.replace(/(:\d+)?(\/.*)?$/, ''))
      ? 'http://'
      : 'https://';
  if (URL.canParse(`${scheme}${text}`)) {
    const url = new URL(`${scheme}${text}`);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url.href;
  }
  throw new InvalidArgumentError('Give an address such as http://localhost:8081/ or https://query-….run.app.');
}

/** As in Terraform's variable `subscribers`. */
const TAKEN = ['dead-letter', 'projector', 'replay', 'unrouted'];

/** NAME=FILTER, of a subscriber. */
export function filter(
  text: string,
  others: readonly (readonly [string, string])[],
): readonly (readonly [string, string])[] {
  const [, name = '', filter = ''] = /^([a-z0-9-]+)=(.+)$/s.exec(text) ?? [];
  // As in Terraform's variable `subscribers`: Pub/Sub's most.
  if (name === '' || filter.length > 256)
    throw new InvalidArgumentError(
      `Give it as mailer='attributes."ce-status" = "processed"', in 256 characters at most.`,
    );
  return [...others, [name, filter]];
}

/** NAME=URL, and of which topics; without any, of all that Heron documents. */
export function subscriber(text: string, others: readonly LocalSubscriber[]): readonly LocalSubscriber[] {
  const [, name = '', rest = ''] = /^([a-z][a-z0-9-]{0,14}[a-z0-9])=(.+)$/.exec(text) ?? [];
  const [address = '', ...patterns] = rest.split(',');
  if (name === '') throw new InvalidArgumentError('Give it as mailer=http://localhost:3000,end_user.*');
  if (TAKEN.includes(name) || others.some((other) => other.name === name))
    throw new InvalidArgumentError(`The name ${name} is taken.`);
  const nothing = patterns.find((pattern) => ![...HERON_TOPICS, UNROUTED].some((topic) => matches(pattern, topic)));
  if (nothing !== undefined) throw new InvalidArgumentError(`No topic is ${nothing}.`);
  // As in Terraform, * is every topic of Heron's.
  const isChosen = (topic: string) => patterns.some((pattern) => matches(pattern, topic));
  const topics = HERON_TOPICS.filter((topic) => patterns.length === 0 || isChosen(topic));
  return [
    ...others,
    { name, url: httpUrl(address), topics: patterns.includes(UNROUTED) ? [...topics, UNROUTED] : topics },
  ];
}
