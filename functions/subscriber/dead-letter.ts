/** A message that its subscriber gave up, as it goes to its dead letters. */
export type DeadLetter = {
  /** `dead-letter.NAME`, prefix and all. */
  readonly topic: string;
  readonly data: Uint8Array;
  /** Those that it came with, and the cause. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Aborted when there is no time left for it. */
  readonly signal: AbortSignal;
  /** How much there is, for a client that takes no signal. */
  readonly milliseconds: number;
};

/** Publishes a dead letter; resolves once Pub/Sub has it. {@link deadLetters} of `heron-events/pull` makes one. */
export type SendDeadLetter = (letter: DeadLetter) => Promise<void>;
