import { type DocumentData, FieldValue, Timestamp } from '@google-cloud/firestore';
import type { protos } from '@google-cloud/firestore-api';

type ProtoValue = protos.google.firestore.v1.IValue;
export type ProtoFields = Readonly<Record<string, ProtoValue>>;
type ProtoTimestamp = protos.google.protobuf.ITimestamp;

/** What a document is given, in Firestore's protocol: values, and the names of fields that the server's time goes to. */
export type Encoded = { readonly fields: ProtoFields; readonly serverTimes: readonly string[] };

/** A value that is none of the kinds that documents here are made of. */
export class UnknownKind extends Error {
  override readonly name = 'UnknownKind';
  constructor() {
    super('Documents here hold no such value.');
  }
}

/**
 * A document's data as Firestore's own client takes it, of the kinds of values that documents here are made of.
 * Source: https://firebase.google.com/docs/firestore/reference/rest/v1/Value
 * @throws UnknownKind for any other.
 */
export function encode(data: DocumentData): Encoded {
  const serverTimes = Object.keys(data).filter((name) => isServerTime(data[name]));
  return { fields: encodeFields(data, serverTimes), serverTimes };
}

/** @throws UnknownKind where somebody else has written a value that no document here has. */
export function decode(fields: ProtoFields): DocumentData {
  const data: DocumentData = {};
  for (const name of Object.keys(fields)) data[name] = decodeValue(fields[name]);
  return data;
}

function encodeFields(data: DocumentData, except: readonly string[] = []): ProtoFields {
  const fields: Record<string, ProtoValue> = {};
  for (const name of Object.keys(data))
    if (data[name] !== undefined && !except.includes(name)) fields[name] = encodeValue(data[name]);
  return fields;
}

function encodeValue(value: unknown): ProtoValue {
  if (value === null) return { nullValue: 'NULL_VALUE' };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { booleanValue: value };
  if (Number.isSafeInteger(value)) return { integerValue: Number(value) };
  if (value instanceof Timestamp) return { timestampValue: { seconds: value.seconds, nanos: value.nanoseconds } };
  if (value instanceof Uint8Array) return { bytesValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(encodeValue) } };
  if (isPlain(value)) return { mapValue: { fields: encodeFields(value) } };
  throw new UnknownKind();
}

function decodeValue(value: ProtoValue = {}): unknown {
  if (typeof value.stringValue === 'string') return value.stringValue;
  if (value.timestampValue) return timestampOf(value.timestampValue);
  if (value.nullValue !== undefined) return null;
  if (typeof value.booleanValue === 'boolean') return value.booleanValue;
  if (value.integerValue !== undefined) return Number(value.integerValue);
  if (value.mapValue) return decode(value.mapValue.fields ?? {});
  if (value.arrayValue) return (value.arrayValue.values ?? []).map(decodeValue);
  if (value.bytesValue instanceof Uint8Array) return value.bytesValue;
  throw new UnknownKind();
}

function timestampOf({ seconds, nanos }: ProtoTimestamp): Timestamp {
  return new Timestamp(Number(seconds), Number(nanos));
}

const SERVER_TIME = FieldValue.serverTimestamp();

function isServerTime(value: unknown): boolean {
  return value instanceof FieldValue && value.isEqual(SERVER_TIME);
}

function isPlain(value: unknown): value is DocumentData {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
