import { AMBIGUOUS, AWAITED, BATCH, END_USER, END_USER_PAGE, EVENT, EVENT_PAGE, PROBLEM, STATS } from './answers.ts';
import { type AnswerOf, CALLS, type Call } from './calls.ts';
import type { Parameter } from './parameters.ts';
import { PROBLEMS, type ProblemType } from './problem.ts';

/** Schemas with a name of their own: named, not repeated, wherever they stand. */
const NAMED = {
  EndUser: END_USER,
  AwaitedEndUser: AWAITED,
  EndUserPage: END_USER_PAGE,
  Batch: BATCH,
  Event: EVENT,
  EventPage: EVENT_PAGE,
  Stats: STATS,
  Problem: PROBLEM,
  AmbiguousProblem: AMBIGUOUS,
} as const;
const NAMES = new Map<unknown, string>(Object.entries(NAMED).map(([name, schema]) => [schema, name]));

type Json = { readonly [member: string]: unknown };

/** The contract, as OpenAPI 3.1: made of the table of calls, so that it cannot say anything else. */
export function openapi(): Json {
  const paths: Record<string, Json> = {};
  for (const [name, call] of Object.entries(CALLS) as [string, Call][])
    paths[call.path] = { ...paths[call.path], [call.method.toLowerCase()]: operation(name, call) };
  return {
    openapi: '3.1.1',
    info: {
      title: 'Heron webhooks: query',
      version: '1',
      description:
        "Where end users stand, by the webhooks that Heron sent. It only reads. Access is Google Cloud's IAM: send an identity token as `Authorization: Bearer …`. Unknown or repeated parameters are 400.",
    },
    externalDocs: { url: '/asyncapi.json', description: 'The events that services subscribe to, as AsyncAPI.' },
    servers: [{ url: '/' }],
    security: [{ google: [] }],
    paths,
    components: {
      securitySchemes: {
        google: {
          type: 'http',
          scheme: 'bearer',
          description: 'A Google identity token of an account that may invoke the service.',
        },
      },
      schemas: Object.fromEntries(
        Object.entries(NAMED).map(([name, schema]) => [
          name,
          Object.fromEntries(Object.entries(schema).map(([keyword, value]) => [keyword, referring(value)])),
        ]),
      ),
    },
  };
}

function operation(operationId: string, { method, path, summary, parameters, body, answers, problems }: Call): Json {
  const any: readonly ProblemType[] = ['bad-request', 'method-not-allowed', 'unavailable'];
  const isTagged = Object.values(answers).every((answer) => 'json' in answer || answer.media !== 'text/event-stream');
  return {
    operationId,
    summary,
    ...(Object.keys(parameters).length === 0
      ? {}
      : { parameters: Object.entries(parameters).map(([name, each]) => parameter(name, each, path)) }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: referring(body) } } } }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, each]) => [status, response(status, each)])),
      ...(method === 'GET' && isTagged
        ? { 304: { description: 'The client has it already: If-None-Match named its ETag.' } }
        : {}),
      ...refusals([...any, ...problems]),
    },
  };
}

function parameter(name: string, { description, ...schema }: Parameter, path: string): Json {
  const isInPath = path.includes(`{${name}}`);
  return {
    name,
    in: isInPath ? 'path' : 'query',
    ...(isInPath ? { required: true } : {}),
    description,
    ...('type' in schema && schema.type === 'array' ? { style: 'form', explode: false } : {}),
    schema,
  };
}

function response(status: string, { description, ...answer }: AnswerOf): Json {
  const [media, content] =
    'json' in answer
      ? ['application/json', { schema: referring(answer.json) }]
      : [answer.media, answer.media === 'text/event-stream' ? { schema: { type: 'string' } } : {}];
  const isTagged = status === '200' && media !== 'text/event-stream';
  return {
    description,
    ...(isTagged ? { headers: { ETag: { schema: { type: 'string' } } } } : {}),
    content: { [media]: content },
  };
}

/** Problems by their HTTP status. */
function refusals(types: readonly ProblemType[]): Json {
  const byStatus = Map.groupBy(types, (type) => PROBLEMS[type][0]);
  return Object.fromEntries(
    [...byStatus].map(([status, types]) => [
      status,
      {
        description: types.map((type) => `${type}: ${PROBLEMS[type][2]}`).join(' '),
        content: {
          'application/problem+json': { schema: referring(types.includes('end-user-ambiguous') ? AMBIGUOUS : PROBLEM) },
        },
      },
    ]),
  );
}

function referring(value: unknown): unknown {
  const name = NAMES.get(value);
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  if (Array.isArray(value)) return value.map(referring);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, referring(inner)]));
}
