import fc from 'fast-check';

/** What `data` of a documented topic may be made of, right and wrong. @param some what each member may be. */
export function payloadData(some: fc.Arbitrary<unknown>) {
  const transactions = fc.oneof(some, fc.array(fc.oneof(some, fc.record({ heron_id: some })), { maxLength: 2 }));
  return fc.record({ heron_id: some, end_user_id: some, status: some, more: some, transactions }, { requiredKeys: [] });
}
