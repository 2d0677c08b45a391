import { readFileSync } from 'node:fs';

type Event = {
  readonly id: string;
  readonly topic: string | null;
  readonly created: string | null;
  /** null also where the body has none. */
  readonly data: unknown;
  readonly meta: unknown;
  readonly attempt?: number;
  readonly replay?: string;
};

type Outcome = {
  readonly name: string;
  readonly event?: Event;
  /** Words of the error. */
  readonly error?: string;
  readonly undocumented?: string;
  /** What a stock SDK does otherwise, by language; `*` is each. */
  readonly differs?: Readonly<Record<string, string>>;
};

export type Push = Outcome & {
  readonly kind: 'unwrapped' | 'wrapped' | 'other';
  readonly headers: Readonly<Record<string, string>>;
  readonly body_base64: string;
};

export type Pull = Outcome & {
  readonly kind: 'pull';
  readonly attributes: Readonly<Record<string, string>>;
  readonly data_base64: string;
  readonly delivery_attempt: number | null;
};

const { vectors } = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8')) as {
  vectors: readonly (Push | Pull)[];
};

export const pushes: readonly Push[] = vectors.filter((vector) => vector.kind !== 'pull');
export const pulls: readonly Pull[] = vectors.filter((vector) => vector.kind === 'pull');
