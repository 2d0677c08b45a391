/**
 * Something is missing that tests need: a person sees what is skipped for it; under CI that is a failure.
 * @param missing what, and how to get it.
 * @param tests which, in the plural.
 */
export function leaveOut(missing: string, tests: string, options?: ErrorOptions): void {
  if (process.env.CI) throw new Error(`${missing}. Under CI ${tests} may not be skipped.`, options);
  console.warn(`\n  ${missing}.\n  SKIPPED: ${tests}.\n`);
}
