import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@google-cloud/pubsub';
import { isAcknowledged, pushUnwrapped } from '../bus/push.ts';
import { DELIVERY } from '../bus/topology.ts';
import { clock } from '../clock.ts';
import type { Env } from '../config.ts';
import { instantOf, parseInstant } from '../heron/instant.ts';
import { LISTENER } from '../subscriber/message.ts';
import { CommandFailed, reasonOf } from './failure.ts';
import { follow, type Plan } from './following.ts';
import { complain, counted, inLine, note, print, printJson, styled } from './output.ts';
import { envOf } from './project.ts';
import { line } from './tail.ts';

export type ListenOptions = {
  /** Where the service is. */
  readonly to: string;
  readonly topic?: readonly string[];
  /** Whose subscriptions they are. */
  readonly name: string;
  readonly project?: string;
  readonly json: boolean;
};

const DAY_S = 86_400;
/** What comes while a laptop sleeps waits so long. Pub/Sub wants subscriptions to last longer than that. */
const KEEP_DAYS = 7;
const EXPIRE_DAYS = KEEP_DAYS + 1;
/** So many are pushed at a time. */
const AT_ONCE = 10;
/** So long what was refused waits here: Pub/Sub would bring it again at once. */
const REFUSED_MS = 5_000;
/** So often it is tried whether the service is there. */
const GONE_MS = 1_000;

/**
 * Forwards events to a service on this machine as Pub/Sub would push them, until it is interrupted: a 2xx acknowledges,
 * and what is refused comes again. By subscriptions of its own, that stay when it ends. Resolves with the exit code.
 */
export async function listen({ to, topic, name, project, json }: ListenOptions, environment: Env): Promise<number> {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?$/.test(name))
    throw new CommandFailed(
      `${inLine(name)} cannot be --name: use 1 to 30 lower-case letters, digits and hyphens, such as your own name.`,
      'misused',
    );
  const plan: Plan = {
    name: `${LISTENER}${name}`,
    isKept: true,
    keepSeconds: KEEP_DAYS * DAY_S,
    expireSeconds: EXPIRE_DAYS * DAY_S,
  };
  const service = new Service(to);
  return follow(
    topic,
    plan,
    envOf(environment, project),
    ({ topics, subscriptions, made }) => {
      const expires_at = new Date(Date.parse(clock()) + EXPIRE_DAYS * DAY_S * 1000).toISOString();
      if (json) return printJson({ listening: subscriptions, topics, made, to, expires_at });
      const names = subscriptions.length > 3 ? [`${subscriptions[0]}`, '…'] : subscriptions;
      note(`Listening to ${counted(topics.length, 'topic')} by ${names.join(', ')}, forwarding to ${to}`);
      const since = made === 0 ? 'What came since they were last open comes now' : 'Events from now on';
      note(
        `${since}. When this ends what comes waits, for ${KEEP_DAYS} days; not opened again, they are deleted on ${expires_at.slice(0, 10)}.`,
      );
      note('Ctrl-C ends it.');
    },
    async (message, subscription, stopping) => {
      const begun = performance.now();
      const answer = await service.push(message, subscription, stopping);
      const isDone = typeof answer === 'number' && isAcknowledged(answer);
      if (!stopping.aborted || isDone) {
        const milliseconds = Math.round(performance.now() - begun);
        if (json) {
          const { 'ce-id': event_id = null, 'ce-type': topic = null } = message.attributes;
          const outcome = isDone ? 'acknowledged' : 'refused';
          printJson({ event_id, topic, outcome, answer, milliseconds });
        } else {
          const told = `${answer}, ${milliseconds} ms${isDone ? '' : ': it comes again'}`;
          print(`${line(message.attributes)}  ${styled(isDone ? 'green' : 'red', inLine(told))}`);
        }
      }
      if (!isDone) await sleep(REFUSED_MS, undefined, { signal: stopping }).catch(() => {});
      return isDone;
    },
  );
}

/** What is pushed of a message. */
type Forwarded = Pick<Message, 'id' | 'data' | 'attributes'> & { readonly publishTime: Date };

/** The service under development, which may not be there just now. */
export class Service {
  readonly #url: string;
  readonly #milliseconds: number;
  readonly #turns: (() => void)[] = [];
  #underWay = 0;
  #isGone = false;

  /** @param milliseconds how long it may take to answer. */
  constructor(url: string, milliseconds = DELIVERY.ack_deadline_seconds * 1000) {
    this.#url = url;
    this.#milliseconds = milliseconds;
  }

  /** Resolves with the answer's status, or why there was none. While nothing listens there, it is tried again. */
  async push(message: Forwarded, subscription: string, stopping: AbortSignal): Promise<number | string> {
    if (this.#underWay === AT_ONCE) await new Promise<void>((resolve) => this.#turns.push(resolve));
    else this.#underWay++;
    try {
      return stopping.aborted ? 'it was stopped' : await this.#push(message, subscription, stopping);
    } finally {
      const next = this.#turns.shift();
      if (next === undefined) this.#underWay--;
      else next();
    }
  }

  async #push({ id, data, attributes, publishTime }: Forwarded, subscription: string, stopping: AbortSignal) {
    const pushed = {
      message: { data, attributes },
      messageId: id,
      publishTime: parseInstant(publishTime.toISOString()) ?? instantOf(publishTime.getTime()),
    };
    for (;;) {
      const deadline = AbortSignal.timeout(this.#milliseconds);
      try {
        const status = await pushUnwrapped(this.#url, pushed, subscription, deadline);
        if (this.#isGone) complain(`${this.#url} answers again.`);
        this.#isGone = false;
        return status;
      } catch (error) {
        if (deadline.aborted) return `no answer within ${this.#milliseconds / 1000} s`;
        const { cause } = error as Error;
        // It never came to asking: no header can carry what an attribute says.
        if (cause === undefined) return reasonOf(error);
        const why = reasonOf(cause);
        if (!this.#isGone && !stopping.aborted)
          complain(`Nothing answers at ${this.#url} (${inLine(why)}): events wait.`);
        this.#isGone = true;
        await sleep(GONE_MS, undefined, { signal: stopping }).catch(() => {});
        if (stopping.aborted) return why;
      }
    }
  }
}
