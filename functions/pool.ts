/**
 * Does the work for all items, for so many at a time, and resolves with the results in order. Where one fails no other
 * is begun, and those that were are waited for.
 */
export async function pool<T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const left = queue(items);
  const worker = async () => {
    for (const [i, item] of left) results[i] = await work(item);
  };
  const ended = await Promise.allSettled(Array.from({ length: atOnce }, worker));
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
  return results;
}

/** Ends for all of its workers where one leaves it, as a loop ends a generator that it does not go through. */
function* queue<T>(items: readonly T[]): Generator<[number, T]> {
  yield* items.entries();
}
