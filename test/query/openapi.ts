import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { expect } from 'vitest';
import openapi from '../../functions/query/openapi.json' with { type: 'json' };

type Content = Readonly<Record<string, unknown>>;
type Operation = {
  readonly responses: Readonly<Record<string, { readonly content?: Content; readonly $ref?: string }>>;
};

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: true });
formats.default(ajv);
ajv.addVocabulary(['openapi', 'info', 'servers', 'paths', 'components', 'security', 'example']);
ajv.addSchema(openapi, 'openapi');

/** Fails unless the document says that this may be answered there. */
export function expectDocumented(method: string, path: string, status: number, type: string | null, json: unknown) {
  const found = template(path.split('?')[0] ?? '');
  if (found === undefined) return expect([400, 404, 405]).toContain(status);
  const operations = (openapi.paths as Readonly<Record<string, Readonly<Record<string, Operation>>>>)[found] ?? {};
  const allowed = method === 'HEAD' ? 'get' : method.toLowerCase();
  const operation = operations[allowed] ?? Object.values(operations)[0];
  const pointer = `#/paths/${escaped(found)}/${operations[allowed] ? allowed : Object.keys(operations)[0]}`;
  const response = operation?.responses[status];
  expect(response, `${method} ${found} answers ${status}, which the document does not have`).toBeDefined();
  const [at, content] =
    response?.$ref === undefined
      ? [`${pointer}/responses/${status}`, response?.content ?? {}]
      : [response.$ref, openapi.components.responses.Problem.content];
  const media = type?.split(';')[0] ?? '';
  if (type === null) return expect(Object.keys(content)).toEqual([]);
  expect(Object.keys(content)).toContain(media);
  if (json === null) return;
  const validate = ajv.compile({ $ref: `openapi${at}/content/${escaped(media)}/schema` });
  validate(json);
  expect(validate.errors, JSON.stringify(json)).toBeNull();
}

function template(path: string): string | undefined {
  return Object.keys(openapi.paths).find((each) => {
    const pattern = each.replace(/\{\w+\}/g, '[^/]+');
    return new RegExp(`^${pattern}$`).test(path);
  });
}

function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}
