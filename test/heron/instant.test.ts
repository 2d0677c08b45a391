import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  epoch,
  type Instant,
  instantOf,
  instantOfEpoch,
  microsecondsBetween,
  parseInstant,
  rfc3339,
} from '../../functions/heron/instant.ts';

describe('a time is read', () => {
  test.each([
    ['2021-05-20T09:23:53+00:00', '2021-05-20T09:23:53.000000Z', "in the specification's shape"],
    ['2026-08-14T12:24:38.137886', '2026-08-14T12:24:38.137886Z', 'with microseconds and no offset: UTC'],
    ['2026-08-14T12:24:38.137886+00:00', '2026-08-14T12:24:38.137886Z', 'with both'],
    ['2026-08-14T12:24:38', '2026-08-14T12:24:38.000000Z', 'with neither'],
    ['2026-08-14t12:24:38z', '2026-08-14T12:24:38.000000Z', 'in lower case'],
    ['2026-08-14 12:24:38Z', '2026-08-14T12:24:38.000000Z', 'with a space'],
    ['2026-08-14T12:24:38.1Z', '2026-08-14T12:24:38.100000Z', 'with one digit of a second'],
    ['2026-08-14T12:24:38.000001Z', '2026-08-14T12:24:38.000001Z', 'with one microsecond'],
    ['2026-08-14T12:24:38.1378869Z', '2026-08-14T12:24:38.137886Z', 'with seven digits: cut, not rounded'],
    ['2026-08-14T12:24:38.999999999Z', '2026-08-14T12:24:38.999999Z', 'with nanoseconds'],
    ['2026-08-14T12:24:38.123456789012Z', '2026-08-14T12:24:38.123456Z', 'with twelve digits'],
    ['2026-08-14T01:30:00+02:00', '2026-08-13T23:30:00.000000Z', 'east of Greenwich'],
    ['2026-12-31T19:00:00.5-05:30', '2027-01-01T00:30:00.500000Z', 'west of Greenwich'],
    ['2026-08-14T12:24:38-00:00', '2026-08-14T12:24:38.000000Z', 'with an offset of minus nothing'],
    ['2026-08-14T12:24:38+0100', '2026-08-14T11:24:38.000000Z', 'with an offset without colon'],
    ['2024-02-29T23:59:59Z', '2024-02-29T23:59:59.000000Z', 'on a leap day'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00.000000Z', 'on the leap day of a fourth century'],
    ['1969-12-31T23:59:59.999999Z', '1969-12-31T23:59:59.999999Z', 'before the epoch'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000000Z', 'at the first moment'],
    ['0000-12-31T23:00:00-01:00', '0001-01-01T00:00:00.000000Z', 'at the first moment, from the year before'],
    ['9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999Z', 'at the last moment'],
  ])('%s is %s: %s', (text, instant) => {
    expect(parseInstant(text)).toBe(instant);
  });
});

describe('what is no time is null', () => {
  test.each([
    '',
    'yesterday',
    '2026-08-14',
    '12:24:38',
    '2026-08-14T12:24Z',
    '2026-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2016-12-31T23:59:60Z',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00+01:60',
    '2026-01-01T00:00:00+1',
    '2026-01-01T00:00:00 Z',
    '2026-01-01T00:00:00.Z',
    '2026-01-01T00:00:00.12 3Z',
    ' 2026-01-01T00:00:00Z',
    '2026-01-01T00:00:00Z\n',
    '+002026-01-01T00:00:00Z',
    '0000-12-31T23:59:59Z',
    '0001-01-01T00:30:00+01:00',
    '9999-12-31T23:30:00-01:00',
    '0000-01-01T00:00:00+01:00',
    '２０２６-01-01T00:00:00Z',
    1786710278,
    1786710278000,
    true,
    null,
    undefined,
    ['2026-01-01T00:00:00Z'],
    { created: '2026-01-01T00:00:00Z' },
  ])('%j', (value) => {
    expect(parseInstant(value)).toBeNull();
  });
});

// The oracle: whole microseconds since 1 March of the year 0, counted in BigInt; no Date anywhere.

type Civil = {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
};

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
const daysOf = (year: number, month: number): number =>
  [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;

function isCivil({ year, month, day, hour, minute, second }: Civil): boolean {
  return day >= 1 && day <= daysOf(year, month) && hour <= 23 && minute <= 59 && second <= 59;
}

/** Days since 1 March of the year 0, counted in years that begin in March, so that a leap day is a year's last. */
function days(year: number, month: number, day: number): bigint {
  const y = BigInt(month > 2 ? year : year - 1);
  const floor = (a: bigint, b: bigint): bigint => (a - (((a % b) + b) % b)) / b;
  const months = BigInt((month + 9) % 12);
  return 365n * y + floor(y, 4n) - floor(y, 100n) + floor(y, 400n) + (153n * months + 2n) / 5n + BigInt(day - 1);
}

const DAY = 86_400_000_000n;

function microseconds(
  { year, month, day, hour, minute, second }: Civil,
  micros: bigint,
  offsetMinutes: number,
): bigint {
  const seconds = BigInt(hour) * 3600n + BigInt(minute) * 60n + BigInt(second) - BigInt(offsetMinutes) * 60n;
  return days(year, month, day) * DAY + seconds * 1_000_000n + micros;
}

const FIRST = days(1, 1, 1) * DAY;
const LAST = days(9999, 12, 31) * DAY + DAY - 1n;
const EPOCH = days(1970, 1, 1) * DAY;

const digits = (n: number, width: number): string => String(n).padStart(width, '0');
const dateText = ({ year, month, day }: Civil): string => `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}`;
const timeText = ({ hour, minute, second }: Civil): string =>
  `${digits(hour, 2)}:${digits(minute, 2)}:${digits(second, 2)}`;

/** Valid and invalid dates, with the borders of years, months and centuries often. */
const civil: fc.Arbitrary<Civil> = fc.record({
  year: fc.oneof(fc.constantFrom(0, 1, 1900, 1969, 1970, 2000, 2024, 2026, 9999), fc.integer({ min: 0, max: 9999 })),
  month: fc.oneof(fc.constantFrom(1, 2, 12), fc.integer({ min: 0, max: 13 })),
  day: fc.oneof(fc.constantFrom(1, 28, 29, 30, 31), fc.integer({ min: 0, max: 32 })),
  hour: fc.oneof(fc.constantFrom(0, 23), fc.integer({ min: 0, max: 24 })),
  minute: fc.oneof(fc.constantFrom(0, 59), fc.integer({ min: 0, max: 60 })),
  second: fc.oneof(fc.constantFrom(0, 59), fc.integer({ min: 0, max: 60 })),
});
const fraction = fc.option(fc.stringMatching(/^[0-9]{1,12}$/), { nil: '' });
const offset = fc.oneof(
  fc.constantFrom({ text: '', minutes: 0 }, { text: 'Z', minutes: 0 }, { text: '+00:00', minutes: 0 }),
  fc.record({ sign: fc.constantFrom(1, -1), minutes: fc.integer({ min: 0, max: 1439 }) }).map(({ sign, minutes }) => ({
    text: `${sign < 0 ? '-' : '+'}${digits(Math.floor(minutes / 60), 2)}:${digits(minutes % 60, 2)}`,
    minutes: sign * minutes,
  })),
);

/** A text in one of the shapes, and its microseconds where it is a time. */
const sample = fc.record({ civil, fraction, offset }).map(({ civil, fraction, offset }) => {
  const micros = BigInt(fraction.slice(0, 6).padEnd(6, '0'));
  const count = isCivil(civil) ? microseconds(civil, micros, offset.minutes) : null;
  return {
    text: `${dateText(civil)}T${timeText(civil)}${fraction === '' ? '' : `.${fraction}`}${offset.text}`,
    count: count !== null && count >= FIRST && count <= LAST ? count : null,
  };
});

/** Microseconds of an instant, read off its fixed places. */
function countOf(instant: Instant): bigint {
  const at = (from: number, to: number): number => Number(instant.slice(from, to));
  const read = {
    year: at(0, 4),
    month: at(5, 7),
    day: at(8, 10),
    hour: at(11, 13),
    minute: at(14, 16),
    second: at(17, 19),
  };
  return microseconds(read, BigInt(instant.slice(20, 26)), 0);
}

const FIXED = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

test('a text is a time, and which, exactly as counting says', () => {
  fc.assert(
    fc.property(sample, ({ text, count }) => {
      const instant = parseInstant(text);
      expect(instant === null).toBe(count === null);
      if (instant === null) return;
      expect(instant).toMatch(FIXED);
      expect(countOf(instant)).toBe(count);
    }),
    { numRuns: 2000 },
  );
});

/** Times that often differ in a microsecond, or not at all. */
const count = fc.oneof(
  fc.bigInt({ min: FIRST, max: LAST }),
  fc.tuple(fc.constantFrom(FIRST + 2n, EPOCH, LAST - 2n), fc.bigInt({ min: -2n, max: 2n })).map(([at, by]) => at + by),
);

function instantAt(count: bigint): Instant {
  const micros = count - EPOCH;
  const rest = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return instantOfEpoch(Number((micros - rest) / 1_000_000n), Number(rest));
}

test('text order is time order', () => {
  fc.assert(
    fc.property(count, count, (a, b) => {
      expect(instantAt(a) < instantAt(b)).toBe(a < b);
      expect(instantAt(a) === instantAt(b)).toBe(a === b);
    }),
    { numRuns: 500 },
  );
});

test('seconds and microseconds since the epoch give the same moment again', () => {
  fc.assert(
    fc.property(count, (count) => {
      const instant = instantAt(count);
      expect(instant).toMatch(FIXED);
      expect(countOf(instant)).toBe(count);
      const { seconds, microseconds } = epoch(instant);
      expect(BigInt(seconds) * 1_000_000n + BigInt(microseconds)).toBe(count - EPOCH);
      expect(microseconds).toBeGreaterThanOrEqual(0);
      expect(instantOfEpoch(seconds, microseconds)).toBe(instant);
    }),
    { numRuns: 500 },
  );
});

test('between two moments are as many microseconds as counting says', () => {
  const near = fc.bigInt({ min: -DAY * 1_000n, max: DAY * 1_000n });
  fc.assert(
    fc.property(count, near, (from, by) => {
      fc.pre(from + by >= FIRST && from + by <= LAST);
      expect(microsecondsBetween(instantAt(from), instantAt(from + by))).toBe(Number(by));
    }),
    { numRuns: 500 },
  );
});

test('an instant, and what the world outside sees of it, are read as themselves', () => {
  fc.assert(
    fc.property(count, (count) => {
      const instant = instantAt(count);
      expect(parseInstant(instant)).toBe(instant);
      expect(parseInstant(rfc3339(instant))).toBe(instant);
    }),
  );
});

test('the world outside sees a fraction only where there is one', () => {
  expect(rfc3339(instantOf(0))).toBe('1970-01-01T00:00:00Z');
  expect(rfc3339(instantOf(1))).toBe('1970-01-01T00:00:00.001000Z');
});

test('a clock of milliseconds gives whole milliseconds', () => {
  expect(instantOf(1_786_710_278_137)).toBe('2026-08-14T12:24:38.137000Z');
  expect(instantOf(-1)).toBe('1969-12-31T23:59:59.999000Z');
});
