import { createHash } from 'node:crypto';
import { sign } from '../../functions/heron/signature.ts';
import { HERON_TOPICS } from '../../functions/heron/topics.ts';
import { civil, type Facts } from './oracle.ts';
import type { Random } from './random.ts';

export const SECRET = 'sec_chaos';

/** Something posted to ingest. */
export type Webhook = {
  /** Lower-case hex SHA-256 of the body, which is its name in the log. */
  readonly id: string;
  readonly body: Buffer;
  readonly signature: string | null;
  /** The end user that is named somewhere in its body: erased with it, wherever it can be read. */
  readonly about: string;
  /** Null where Heron did not sign it. */
  readonly facts: Facts | null;
};

/** The ids of all end users there are; the first of them have most of the events. */
export const HERON_IDS = Array.from({ length: 36 }, (_, n) => `eus_${String(n).padStart(22, 'chaos')}`);
const STATUSES = ['new', 'ready', 'processed', 'reviewed', 'review_requested', 'failed', 'archived'];
const OF_END_USERS = HERON_TOPICS.filter((topic) => topic.startsWith('end_user.'));
const UNKNOWN = ['end_user.archived', 'report.printed', '__proto__'];

/** Makes webhooks of a few dozen end users whose moments collide; no two are the same. */
export function webhookMaker(random: Random): () => Webhook {
  let made = 0;
  return () => {
    const salt = made++;
    const draw = random.next();
    if (draw < 0.05) return forged(random, ordinary(random, salt, 0));
    if (draw < 0.09) return undocumented(random, salt);
    if (draw < 0.12) return ordinary(random, salt, random.int(32_000, 100_000));
    if (draw < 0.125) return ordinary(random, salt, random.int(1_000_000, 2_000_000));
    return ordinary(random, salt, 0);
  };
}

function ordinary(random: Random, salt: number, padding: number): Webhook {
  // Many of one end user at once is what contends.
  const n = Math.floor(random.next() ** 2 * HERON_IDS.length);
  const heronId = HERON_IDS[n] as string;
  const topic = random.chance(0.04)
    ? random.pick(UNKNOWN)
    : random.pick(random.chance(0.7) ? OF_END_USERS : HERON_TOPICS);
  const facts: Facts = {
    topic,
    micros: random.int(0, 3) * 1_000_000 + random.pick([0, 1, 2, 999_999]),
    heron_id: heronId,
    end_user_id: random.chance(0.8) ? `customer ${n}` : null,
    status: random.chance(0.5) ? random.pick(STATUSES) : null,
    meta: random.chance(0.2) ? { owner: `Zoë ${random.int(0, 9)}`, __x__: 'kept' } : null,
  };
  const { micros, end_user_id, status, meta } = facts;
  const ids = topic.startsWith('end_user.')
    ? { heron_id: heronId }
    : { heron_id: `res_${salt}`, end_user_heron_id: heronId };
  const data = {
    ...ids,
    ...(end_user_id === null ? {} : { end_user_id }),
    ...(status === null ? {} : { status }),
    salt,
    ...(padding === 0 ? {} : { padding: random.bytes(padding * 0.75).toString('base64') }),
  };
  const created = `${civil(micros ?? 0)}${random.pick(['', '+00:00'])}`;
  return signed(Buffer.from(JSON.stringify({ topic, created, data, meta })), heronId, facts);
}

/** Signed, but not of the documented shape: where it can be read all the same, it changes the state, but no metadata. */
function undocumented(random: Random, salt: number): Webhook {
  const { body, about, facts } = ordinary(random, salt, 0);
  const text = body.toString();
  const nothing: Facts = { topic: null, micros: null, heron_id: null, end_user_id: null, status: null, meta: null };
  const readable: Facts = { ...nothing, ...facts, meta: null };
  const made: readonly (readonly [Buffer, Facts])[] = [
    [body.subarray(0, -1), readable],
    [Buffer.concat([body, Buffer.from([0xff, 0xfe, 0x00])]), readable],
    [Buffer.from(text.replace('"salt":', '"score":NaN,"salt":')), readable],
    [Buffer.from(`[${text}]`), nothing],
    [Buffer.from(text.replace(/"created":"[^"]*"/, '"created":"yesterday"')), nothing],
    [Buffer.from(text.replace('"data":{', '"data":[],"was":{')), nothing],
  ];
  const [odd, says] = random.pick(made);
  return signed(odd, about, says);
}

function signed(body: Buffer, about: string, facts: Facts): Webhook {
  return { id: idOf(body), body, signature: sign(body, SECRET), about, facts };
}

function forged(random: Random, { body, signature, about }: Webhook): Webhook {
  const tampered = Buffer.from(body.toString().replace('{', '{ '));
  const signatures = [null, signature, sign(tampered, 'sec_other'), sign(tampered, SECRET).replace(/.$/, '')];
  return { id: idOf(tampered), body: tampered, signature: random.pick(signatures), about, facts: null };
}

function idOf(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex');
}
