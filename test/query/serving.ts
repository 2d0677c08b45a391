import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import { serverOf } from '../../functions/http/server.ts';
import { problemsPage } from '../../functions/query/problem.ts';
import { type QueryDependencies, query } from '../../functions/query/query.ts';
import { expectDocumented } from './openapi.ts';

const servers: Server[] = [];

/** Serves query, and resolves with its address, without the last slash. */
export async function serve(dependencies: Omit<QueryDependencies, 'projectId'>): Promise<string> {
  const handler = query({ ...dependencies, projectId: 'test' });
  const server = serverOf(handler, () => {});
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** As a proxy does, or a process that ends. */
export function cutConnections(base: string): void {
  for (const server of servers)
    if ((server.address() as AddressInfo | null)?.port === Number(new URL(base).port)) server.closeAllConnections();
}

export function stopServing(): void {
  for (const server of servers) server.closeAllConnections();
  for (const server of servers.splice(0)) server.close();
}

/** Asks, and holds the answer to the OpenAPI document. */
export async function ask(base: string, path: string, init?: RequestInit) {
  const response = await fetch(`${base}${path}`, init);
  const text = await response.text();
  const type = response.headers.get('content-type');
  const json = type?.includes('json') && text !== '' ? JSON.parse(text) : null;
  expectDocumented(init?.method ?? 'GET', path, response.status, type, json);
  return { status: response.status, headers: response.headers, text, json };
}

export type Answer = Awaited<ReturnType<typeof ask>>;

/** A problem whose type is documented, and that tells nothing of our inside. */
export function expectProblem(answer: Answer, status: number): void {
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.json).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
  const [path, fragment] = answer.json.type.split('#');
  expect(path).toBe('/problems');
  expect(problemsPage()).toContain(`<dt id="${fragment}">`);
  expect(answer.text).not.toMatch(/\n {2}at |node_modules/);
}
