import { withoutCause } from '../events/dead-letter.ts';
import { CODE, codeOf } from '../grpc.ts';
import type { Publisher } from './bus.ts';
import { type DeadLetter, sourceId } from './dead-letter.ts';
import { type Hold, type Tour, type Toured, visitDeadLetters } from './dead-letter-tour.ts';
import { replayTopic } from './topology.ts';

/** What was pulled is published and acknowledged within its ack deadline of 60 s. */
const PUBLISH_MS = 30_000;

export type Outcome = {
  readonly letter: DeadLetter;
  /** Why it was not done, or not wholly: then it is still there. */
  readonly failure?: Error;
};

/**
 * Publishes dead letters to their subscriber alone, as it got them, and acknowledges each only once that is confirmed:
 * whatever happens in between, a message may come twice, but is not lost. An outage ends it.
 * @returns also how many were dead-lettered once more meanwhile: they are left.
 */
export async function redriveDeadLetters(
  publisher: Publisher,
  tour: Tour,
  onOutcome: (outcome: Outcome) => void,
): Promise<Toured & { readonly again: number }> {
  const published = new Set<string>();
  let again = 0;
  const publish = async (letter: DeadLetter): Promise<Outcome> => {
    try {
      published.add(await publisher.publish(replayTopic(tour.name), withoutCause(letter.message), PUBLISH_MS));
      return { letter };
    } catch (error) {
      return { letter, failure: error as Error };
    }
  };
  const toured = await settle(tour, onOutcome, async (letters, held) => {
    // What fails at once again would go round for ever.
    const due = letters.filter(({ message }) => !published.has(sourceId(message)));
    again += letters.length - due.length;
    const outcomes = await Promise.all(due.map(publish));
    const confirmed = outcomes.filter(({ failure }) => failure === undefined).map(({ letter }) => letter);
    return [...outcomes.filter(({ failure }) => failure !== undefined), ...(await acknowledge(confirmed, held))];
  });
  return { ...toured, again };
}

/** Acknowledges dead letters: they are gone for good. An outage ends it. */
export async function discardDeadLetters(tour: Tour, onOutcome: (outcome: Outcome) => void): Promise<Toured> {
  return settle(tour, onOutcome, acknowledge);
}

type Settle = (letters: readonly DeadLetter[], held: Hold) => Promise<readonly Outcome[]>;

async function acknowledge(letters: readonly DeadLetter[], held: Hold): Promise<readonly Outcome[]> {
  try {
    await held.acknowledge(letters.map(({ id }) => id));
    return letters.map((letter) => ({ letter }));
  } catch (cause) {
    const failure = new Error(`not acknowledged, so it is still there: ${(cause as Error).message}`, { cause });
    return letters.map((letter) => ({ letter, failure }));
  }
}

function settle(tour: Tour, onOutcome: (outcome: Outcome) => void, work: Settle): Promise<Toured> {
  const outage = new AbortController();
  const signal = AbortSignal.any([outage.signal, ...(tour.signal ? [tour.signal] : [])]);
  return visitDeadLetters({ ...tour, signal }, async (letters, held) => {
    for (const outcome of await work(letters, held)) {
      onOutcome(outcome);
      const { failure } = outcome;
      if (failure !== undefined && codeOf(failure) !== CODE.INVALID_ARGUMENT) outage.abort();
    }
  });
}
