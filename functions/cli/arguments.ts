import { InvalidArgumentError } from 'commander';
import { parseInstant } from '../heron/instant.ts';
import { isLoopback } from './query-api.ts';

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
