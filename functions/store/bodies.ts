import type {
  DocumentData,
  DocumentReference,
  DocumentSnapshot,
  Firestore,
  ReadOptions,
  Timestamp,
} from '@google-cloud/firestore';
import type { HeronEvent } from '../events/event.ts';
import type { Instant } from '../heron/instant.ts';
import type { Connection } from './connection.ts';
import { endUserDocuments, eventDocuments, isForgotten, type Stored, type StoredEvent } from './documents.ts';
import { isErased } from './erasure.ts';
import { MAX_INLINE_BYTES } from './store.ts';
import { toTimestamp } from './timestamp.ts';

/** Firestore takes documents of 1 MiB, and commits of 10 MiB (its emulator 4). */
const CHUNK_BYTES = 900_000;
const CHUNKS_A_COMMIT = 3;

/** A part of a body that is too large for its event: `events/{event_id}/body/{n}`. */
type Chunk = {
  readonly heron_id: string | null;
  /** Where there is no heron_id: so erasure finds it. */
  readonly end_user_id?: string;
  readonly data: Uint8Array;
  readonly expires_at?: Timestamp;
};

/** What reads documents, inside a transaction or outside. */
export type Reader = {
  getAll(...referencesOrOptions: (DocumentReference | ReadOptions)[]): Promise<DocumentSnapshot[]>;
};

/** Those of the events that the log has. */
export async function inLog(db: Firestore, reader: Reader, ids: Iterable<string>): Promise<ReadonlySet<string>> {
  const documents = [...ids].map((id) => eventDocuments(db).doc(id).withConverter(null) as DocumentReference);
  if (documents.length === 0) return new Set();
  const found = await reader.getAll(...documents, { fieldMask: ['bytes'] });
  return new Set(found.filter(({ exists }) => exists).map(({ id }) => id));
}

/**
 * Writes the body of an event that is too large for it, before the event: without it nobody reads them, and writing
 * them again changes nothing. Each transaction has seen no tombstone: once there is one, what erasure deletes does not
 * come back.
 */
export async function writeBody(
  connection: Connection,
  { event_id, heron_id, end_user_id, body }: HeronEvent,
  expires: Instant | null,
): Promise<void> {
  if (body.byteLength <= MAX_INLINE_BYTES) return;
  const owner = ownerOf({ heron_id, end_user_id });
  const expiry = expires === null ? {} : { expires_at: toTimestamp(expires) };
  for (let from = 0; from < body.byteLength; from += CHUNKS_A_COMMIT * CHUNK_BYTES) {
    const isWanted = await connection.write(async (db, transaction) => {
      const [event, endUser] = await transaction.getAll<StoredEvent | Stored, DocumentData>(
        eventDocuments(db).doc(event_id),
        ...(heron_id === null ? [] : [endUserDocuments(db).doc(heron_id)]),
      );
      // Neither a duplicate nor the forgotten writes anything.
      if (event?.exists || isForgotten(endUser?.data())) return false;
      if (owner.end_user_id !== undefined && (await isErased(db, transaction, owner.end_user_id))) return false;
      const first = from / CHUNK_BYTES;
      for (const [i, chunk] of chunksOf(db, event_id, body.byteLength).entries()) {
        if (i < first || i >= first + CHUNKS_A_COMMIT) continue;
        const data = body.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);
        transaction.set(chunk, { ...owner, data, ...expiry } satisfies Chunk);
      }
      return true;
    });
    if (!isWanted) return;
  }
}

/** Whose a part of a body is, so that erasure finds it. */
export function ownerOf({
  heron_id,
  end_user_id,
}: Pick<HeronEvent, 'heron_id' | 'end_user_id'>): Pick<Chunk, 'heron_id' | 'end_user_id'> {
  return heron_id === null && end_user_id !== null ? { heron_id, end_user_id } : { heron_id };
}

/** Parts of a body are lost. */
export class IncompleteBody extends Error {
  override readonly name = 'IncompleteBody';
}

/** @throws IncompleteBody */
export async function readBody(
  db: Firestore,
  eventId: string,
  bytes: number,
  reader: Reader = db,
): Promise<Uint8Array> {
  const found = await reader.getAll(...chunksOf(db, eventId, bytes));
  const chunks = found.map((snapshot) => snapshot.data() as Chunk | undefined);
  const body = Buffer.concat(chunks.map((chunk) => chunk?.data ?? new Uint8Array()));
  if (body.byteLength !== bytes) throw new IncompleteBody(`The body of event ${eventId} is not complete.`);
  return body;
}

/** Whether all chunks of the events' bodies are there. */
export async function haveBodies(db: Firestore, reader: Reader, all: readonly HeronEvent[]): Promise<boolean> {
  const chunks = all.filter(isLarge).flatMap(({ event_id, body }) => chunksOf(db, event_id, body.byteLength));
  if (chunks.length === 0) return true;
  const found = await reader.getAll(...chunks, { fieldMask: ['heron_id'] });
  return found.every(({ exists }) => exists);
}

/** Deletes the chunks of an event that the log does not have. */
export async function deleteBody(connection: Connection, event: HeronEvent): Promise<void> {
  if (!isLarge(event)) return;
  await connection.write(async (db, transaction) => {
    const { exists } = await transaction.get(eventDocuments(db).doc(event.event_id));
    if (exists) return;
    for (const chunk of chunksOf(db, event.event_id, event.body.byteLength)) transaction.delete(chunk);
  });
}

function isLarge({ body }: HeronEvent): boolean {
  return body.byteLength > MAX_INLINE_BYTES;
}

/** The parts of a body that is kept apart from its event. */
export function chunksOf(db: Firestore, eventId: string, bytes: number): readonly DocumentReference[] {
  const body = eventDocuments(db).doc(eventId).collection('body');
  return Array.from({ length: Math.ceil(bytes / CHUNK_BYTES) }, (_, n) => body.doc(String(n)));
}
