import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { expect } from 'vitest';
import { openapi } from '../../functions/query/openapi.ts';

type Response = { readonly content?: Readonly<Record<string, unknown>> };
type Operation = { readonly responses: Readonly<Record<string, Response>> };

const document = openapi();
const paths = document.paths as Readonly<Record<string, Readonly<Record<string, Operation>>>>;

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: true });
formats.default(ajv);
ajv.addVocabulary(['openapi', 'info', 'externalDocs', 'servers', 'paths', 'components', 'security', 'example']);
ajv.addSchema(document, 'openapi');

/** Fails unless the document says that this may be answered there. */
export function expectDocumented(method: string, path: string, status: number, type: string | null, json: unknown) {
  const found = template((path.split('?')[0] ?? '').replace('%3A', ':'));
  if (found === undefined) return expect([400, 404, 405]).toContain(status);
  const operations = paths[found] ?? {};
  const allowed = method === 'HEAD' ? 'get' : method.toLowerCase();
  const name = operations[allowed] ? allowed : (Object.keys(operations)[0] ?? '');
  const response = operations[name]?.responses[status];
  expect(response, `${method} ${found} answers ${status}, which the document does not have`).toBeDefined();
  const content = response?.content ?? {};
  const media = type?.split(';')[0] ?? '';
  if (type === null) return expect(Object.keys(content)).toEqual([]);
  expect(Object.keys(content)).toContain(media);
  if (json === null) return;
  const at = `#/paths/${escaped(found)}/${name}/responses/${status}/content/${escaped(media)}/schema`;
  const validate = ajv.compile({ $ref: `openapi${at}` });
  validate(json);
  expect(validate.errors, JSON.stringify(json)).toBeNull();
}

function template(path: string): string | undefined {
  return Object.keys(paths).find((each) => {
    const pattern = each.replace(/\{\w+\}/g, '[^/]+');
    return new RegExp(`^${pattern}$`).test(path);
  });
}

function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}
