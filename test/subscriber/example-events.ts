import type { Firestore } from '@google-cloud/firestore';
import { expect } from 'vitest';
import { eventId } from '../../functions/events/event.ts';
import { sampleWebhook } from '../../functions/heron/sample.ts';
import { sign } from '../../functions/heron/signature.ts';
import type { Random } from '../chaos/random.ts';
import type { Local } from '../end-to-end/local.ts';

/** What Heron sends, and what the example makes of it. */

export const SECRET = 's';

export type Sent = { readonly id: string; readonly topic: string; readonly heronId: string; readonly body: Buffer };

/** Makes webhooks about so many end users, each another one. */
export function webhooks(random: Random, endUsers: number): (topic: string) => Sent {
  let made = 0;
  return (topic) => {
    const webhook = sampleWebhook(topic, `customer-${random.int(1, endUsers)}`, Date.UTC(2026, 8, 1), made++);
    const body = Buffer.from(JSON.stringify(webhook));
    return { id: eventId(body), topic, heronId: String((webhook.data as { heron_id?: string }).heron_id), body };
  };
}

/** Sends it as Heron would, until it is taken. */
export async function post(local: Local, { body }: Sent): Promise<void> {
  const headers = { 'Heron-Signature': sign(body, SECRET) };
  for (;;) {
    const { status } = await fetch(local.webhook, { method: 'POST', body: Uint8Array.from(body), headers });
    if (status === 200) return;
    expect(status).toBe(503);
  }
}

/** What the projector says that it has taken, one for each time. */
export function toProjector(local: Local): string[] {
  return local
    .output()
    .split('\n')
    .filter((line) => /"function":"projector"/.test(line) && /"outcome":"(recorded|duplicate)"/.test(line))
    .flatMap((line) => /"event_id":"(\w+)"/.exec(line)?.[1] ?? [])
    .sort();
}

export type State = ReadonlyMap<string, Readonly<Record<string, number>>>;

/** What the example of that name has made of its events. */
export async function stateOf(db: Firestore, name: string): Promise<State> {
  const { docs } = await db.collection(name).get();
  return sorted(docs.map((doc) => [doc.id, doc.data()]));
}

/** What it comes to where each event is handled once. @param pays which it pays for. */
export function oracle(events: readonly Sent[], pays: (sent: Sent) => boolean): State {
  const state = new Map<string, Record<string, number>>();
  for (const sent of events) {
    const { heronId, topic } = sent;
    const { paid = 0, ...counts } = state.get(heronId) ?? {};
    const isPaid = topic === 'end_user.processed' && pays(sent);
    state.set(heronId, { ...counts, [topic]: (counts[topic] ?? 0) + 1, paid: isPaid ? paid + 1 : paid });
  }
  return sorted([...state]);
}

function sorted(entries: readonly (readonly [string, Record<string, number>])[]): State {
  return new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}
