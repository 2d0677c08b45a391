import { type Topology, topology } from '../bus/topology.ts';
import type { Env } from '../config.ts';
import { PROJECTOR } from '../projector/projector.ts';

/** Everything that runs on this machine, by either way of running it. */
export type Running = {
  /** In words, for people. */
  readonly backing: string;
  stop(): Promise<void>;
  /** Resolves, with why, when it cannot go on. */
  readonly failed: Promise<string>;
};

export type LocalSubscriber = {
  readonly name: string;
  readonly url: string;
  readonly topics: readonly string[];
  /** As Terraform's, of its subscriptions. */
  readonly filter?: string;
};

export type RunOptions = {
  readonly env: Env;
  readonly webhookPort: number;
  readonly queryPort: number;
  /** Services under development beside the projector, each told of its events as in production. */
  readonly subscribers: readonly LocalSubscriber[];
  /** A line of a function's log. */
  readonly onLog: (line: string) => void;
  /** Something a person should know meanwhile. */
  readonly onNote: (line: string) => void;
};

/** It cannot run here: `message` says why and what to do. */
export class NotStarted extends Error {
  override readonly name = 'NotStarted';
}

/** As Terraform makes them: the projector takes all, others what they subscribe to, unwrapped. */
export function topologies(projectorPort: number, subscribers: readonly LocalSubscriber[]): readonly Topology[] {
  return [
    topology(PROJECTOR, `http://127.0.0.1:${projectorPort}/`),
    ...subscribers.map(({ name, url, topics, filter }) =>
      topology(name, url, { sources: topics, unwrapped: true, ...(filter !== undefined && { filter }) }),
    ),
  ];
}
