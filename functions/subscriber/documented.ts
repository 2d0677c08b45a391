import { isRecord } from './message.ts';

/** Says why data is not of its topic's documented shape, or null. */
type Check = (data: Record<string, unknown>) => string | null;

const endUser: Check = (data) => {
  const wrong = ['heron_id', 'end_user_id', 'status'].find((field) => typeof data[field] !== 'string');
  return wrong === undefined ? null : `data.${wrong} is not a text`;
};

const deletedTransactions: Check = ({ transactions }) =>
  Array.isArray(transactions) && transactions.every((each) => isRecord(each) && typeof each.heron_id === 'string')
    ? null
    : 'data.transactions is not a list of objects with a heron_id';

/** The topics whose `data` Heron documents: what handlers get of them is what their types say. */
export const DOCUMENTED = {
  'end_user.created': endUser,
  'end_user.failed': endUser,
  'end_user.files_changed': endUser,
  'end_user.files_classified': endUser,
  'end_user.policy_workflow_failed': endUser,
  'end_user.policy_workflow_finished': endUser,
  'end_user.processed': endUser,
  'end_user.review_required': endUser,
  'end_user.reviewed': endUser,
  'end_user.transactions_updated': endUser,
  'transactions.deleted': deletedTransactions,
} as const satisfies Record<string, Check>;

/** Why the data is not what the topic's type says, or null, also where nothing is documented. */
export function undocumentedData(topic: string, data: Record<string, unknown>): string | null {
  return Object.hasOwn(DOCUMENTED, topic) ? DOCUMENTED[topic as keyof typeof DOCUMENTED](data) : null;
}
