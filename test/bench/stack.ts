import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { provision } from '../../functions/bus/provision.ts';
import { type Command, framework } from './subject.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const FLOORS = join(import.meta.dirname, 'floors');

/** What a function's process gets as deployed, beside its configuration. */
const RUNTIME: Readonly<Record<string, Readonly<Record<string, string>>>> = JSON.parse(
  readFileSync(join(ROOT, 'functions', 'runtime.json'), 'utf8'),
);

export type Target = 'ingest' | 'projector' | 'query';
export type Floor = 'bare' | 'bare-ingest' | 'bare-projector' | 'bare-query';

/** One of ours, as it is deployed. @param source the folder that was built for deployment. */
export function ours(target: Target, projectId: string, source: string): Command {
  return framework(source, target, { ...RUNTIME[target], ...environment(projectId) });
}

export function floor(target: Floor, projectId: string): Command {
  return framework(FLOORS, target, environment(projectId));
}

export function environment(projectId: string): Readonly<Record<string, string>> {
  return { GOOGLE_CLOUD_PROJECT: projectId, HERON_SHARED_SECRET: 'sec_bench', METADATA_SERVER_DETECTION: 'none' };
}

let projects = 0;
/** A project of its own, which the emulators keep apart: what others left there makes nothing slower. */
export function newProject(): string {
  projects++;
  return `bench-${process.pid}-${projects}`;
}

/** Makes a topic that nobody subscribes to. */
export async function topicOnly(projectId: string): Promise<void> {
  await provision({ projectId, topicPrefix: '' }, { topics: ['end_user.processed'], subscriptions: [] });
}
