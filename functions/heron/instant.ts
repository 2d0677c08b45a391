/**
 * A moment in UTC with microseconds, as fixed-width text: `2021-05-20T09:23:53.000000Z`. Text order is time order, and
 * no microsecond is lost (a `Date` holds milliseconds only). Years 0001 to 9999, as Firestore's timestamps.
 */
export type Instant = string & { readonly instant: unique symbol };

// Both shapes Heron sends, `2021-05-20T09:23:53+00:00` and `2026-08-14T12:24:38.137886`, and what RFC 3339 allows beside;
// but no leap second, which neither Python nor Firestore has.
const SHAPE =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):?([0-5]\d))?$/;

/** The moment that `text` names, or null where it is no time. No offset means UTC; digits past microseconds are cut. */
export function parseInstant(text: unknown): Instant | null {
  const match = typeof text === 'string' ? SHAPE.exec(text) : null;
  if (match === null) return null;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours = '0', offsetMinutes = '0'] = match;
  if (Number(day) > daysOf(Number(year), Number(month))) return null;
  const civil = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const offset = (sign === '-' ? -1 : 1) * (Number(offsetHours) * 60 + Number(offsetMinutes)) * 60_000;
  const utc = offset === 0 ? civil : new Date(Date.parse(`${civil}Z`) - offset).toISOString().slice(0, 19);
  // Outside 0001 to 9999, toISOString writes six-digit years.
  if (!utc.endsWith('T', 11) || utc.startsWith('0000')) return null;
  return `${utc}.${fraction.slice(0, 6).padEnd(6, '0')}Z` as Instant;
}

function daysOf(year: number, month: number): number {
  if (month !== 2) return 30 + ((month + (month >> 3)) & 1);
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
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
