import { Timestamp } from '@google-cloud/firestore';
import { epoch, type Instant, instantOfEpoch } from '../heron/instant.ts';

export function toTimestamp<I extends Instant | null>(instant: I): I extends null ? null : Timestamp;
export function toTimestamp(instant: Instant | null): Timestamp | null {
  if (instant === null) return null;
  const { seconds, microseconds } = epoch(instant);
  return new Timestamp(seconds, microseconds * 1000);
}

export function toInstant<T extends Timestamp | null>(timestamp: T): T extends null ? null : Instant;
export function toInstant(timestamp: Timestamp | null): Instant | null {
  return timestamp === null ? null : instantOfEpoch(timestamp.seconds, Math.floor(timestamp.nanoseconds / 1000));
}
