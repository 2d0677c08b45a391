import { randomUUID } from 'node:crypto';
import type { Message } from '@google-cloud/pubsub';
import type { Env } from '../config.ts';
import { follow, type Plan } from './following.ts';
import { counted, inLine, note, print, printJson, styled } from './output.ts';
import { envOf } from './project.ts';
import { topicColumn } from './topic-pattern.ts';

export type TailOptions = {
  readonly topic?: readonly string[];
  readonly endUser?: string;
  readonly project?: string;
  readonly json: boolean;
};

/** Prints events as they flow, until it is interrupted. Leaves nothing behind. Resolves with the exit code. */
export async function tail({ topic, endUser, json, project }: TailOptions, environment: Env): Promise<number> {
  const plan: Plan = {
    name: `tail_${randomUUID().slice(0, 8)}`,
    isKept: false,
    keepSeconds: 600, // Pub/Sub's least
    expireSeconds: 86_400, // the same; where this is killed
  };
  return follow(
    topic,
    plan,
    envOf(environment, project),
    ({ topics }) => note(`Listening to ${counted(topics.length, 'topic')}. Ctrl-C ends it.`),
    async ({ attributes, data }) => {
      const { 'ce-subject': heron_id, 'ce-enduserid': end_user_id } = attributes;
      if (endUser !== undefined && endUser !== heron_id && endUser !== end_user_id) return true;
      if (json) printJson({ attributes, body: data.toString() });
      else print(line(attributes));
      return true;
    },
  );
}

/** An event in a line: when, what, of whom. */
export function line(attributes: Message['attributes']): string {
  const { 'ce-time': time, 'ce-type': topic, 'ce-subject': heronId, 'ce-enduserid': endUserId } = attributes;
  const facts = [
    styled('dim', inLine(time?.slice(0, 19).replace('T', ' ')).padEnd(19)),
    topicColumn(topic),
    inLine(attributes['ce-status']).padEnd(16),
    inLine(endUserId ?? heronId),
  ];
  return `${facts.join(' ')}${attributes['ce-replayid'] === undefined ? '' : styled('dim', ' replay')}`;
}
