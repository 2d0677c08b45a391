/**
 * What Zod, Valibot, ArkType and others implement, as far as it is used here.
 * Source: https://standardschema.dev
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validated<Output> | Promise<Validated<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type Validated<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] };

type Issue = {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
};

export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output'];

const MAX_ISSUES = 5;

/**
 * Where a value does not fit, in words that quote nothing of it: messages of schema libraries may.
 * A key of the data itself can stand in a path, so only those are told that look like a field's name.
 */
export function placesOf(issues: readonly Issue[]): string {
  const places = issues.slice(0, MAX_ISSUES).map(({ path = [] }) =>
    ['data', ...path]
      .map((step) => String(typeof step === 'object' ? step.key : step))
      .map((step) => (/^\w{1,40}$/.test(step) ? step : '…'))
      .join('.'),
  );
  return [...new Set(places), ...(issues.length > MAX_ISSUES ? ['more'] : [])].join(', ');
}
