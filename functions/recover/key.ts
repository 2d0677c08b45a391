import { readFile } from 'node:fs/promises';
import type { Stopwatch } from '../clock.ts';
import { type KeySource, parseKey } from '../config.ts';

/** A mounted secret is a call each time that it is read, and follows a rotation by itself. */
const MAX_AGE_MS = 60_000;

/** The API key, read again when it is a minute old; the last good one is kept where it cannot be read. */
export function keyOf({ key, file }: KeySource, stopwatch: Stopwatch): () => Promise<string> {
  let known = key;
  let readAt = stopwatch();
  return async () => {
    if (file === undefined || stopwatch() - readAt < MAX_AGE_MS) return known;
    readAt = stopwatch();
    known = await readFile(file, 'utf8').then(
      (text) => parseKey(text, 'HERON_API_KEY_FILE'),
      () => known,
    );
    return known;
  };
}
