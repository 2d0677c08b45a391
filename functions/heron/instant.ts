/**
 * A moment in UTC with microseconds, as fixed-width text: `2021-05-20T09:23:53.000000Z`. Text order is time order, and
 * no microsecond is lost (a `Date` holds milliseconds only). Years 0001 to 9999, as Firestore's timestamps.
 */
export type Instant = string & { readonly instant: unique symbol };

// Both shapes Heron sends, `2021-05-20T09:23:53+00:00` and `2026-08-14T12:24:38.137886`, and what RFC 3339 allows beside;
// but no leap second, which neither Python nor Firestore has.
const SHAPE = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):?([0-5]\d))?$/;

/** The moment that `text` names, or null where it is no time. No offset means UTC; digits past microseconds are cut. */
export function parseInstant(text: unknown): Instant | null {
  const match = typeof text === 'string' ? SHAPE.exec(text) : null;
  if (match === null) return null;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours = '0', offsetMinutes = '0'] = match;
  const civil = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const local = Date.parse(`${civil}Z`);
  if (Number.isNaN(local)) return null;
  const readBack = new Date(local).toISOString();
  // Date.parse turns 30 February into 2 March: only what reads back the same is a date.
  if (!readBack.startsWith(civil)) return null;
  const offset = (sign === '-' ? -1 : 1) * (Number(offsetHours) * 60 + Number(offsetMinutes)) * 60_000;
  const utc = offset === 0 ? readBack : new Date(local - offset).toISOString();
  // Outside 0001 to 9999, toISOString writes six-digit years.
  if (!/^\d{4}-/.test(utc) || utc.startsWith('0000')) return null;
  return `${utc.slice(0, 19)}.${fraction.slice(0, 6).padEnd(6, '0')}Z` as Instant;
}

/** @param milliseconds since the epoch, as `Date.now()` gives them. */
export function instantOf(milliseconds: number): Instant {
  return `${new Date(milliseconds).toISOString().slice(0, -1)}000Z` as Instant;
}

/** RFC 3339 in UTC, as the world outside sees it: the fraction only where there is one. */
export function rfc3339(instant: Instant): string {
  return instant.replace('.000000Z', 'Z');
}

/** Whole seconds since the epoch, and the microseconds past them. */
export function epoch(instant: Instant): { seconds: number; microseconds: number } {
  return { seconds: Date.parse(`${instant.slice(0, 19)}Z`) / 1000, microseconds: Number(instant.slice(20, 26)) };
}

/** The inverse of {@link epoch}. */
export function instantOfEpoch(seconds: number, microseconds: number): Instant {
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(microseconds).padStart(6, '0')}Z` as Instant;
}

/** Negative where `to` comes first. */
export function microsecondsBetween(from: Instant, to: Instant): number {
  const [a, b] = [epoch(from), epoch(to)];
  return (b.seconds - a.seconds) * 1_000_000 + b.microseconds - a.microseconds;
}
