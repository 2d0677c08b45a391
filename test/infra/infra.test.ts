import { PubSub } from '@google-cloud/pubsub';
import { beforeAll, describe, expect, it } from 'vitest';
import { provision } from '../../functions/bus/provision.ts';
import { topology } from '../../functions/bus/topology.ts';
import { PROJECTOR } from '../../functions/projector/projector.ts';
import { hasPubSub } from '../emulators.ts';
import { leaveOut } from '../left-out.ts';
import { findTerraform, type Resource, testLines, waitsFor } from './terraform.ts';

const terraform = await findTerraform();
if (terraform.kind === 'missing') leaveOut(`The Terraform module cannot be tested: ${terraform.why}`, 'its tests');

const MINUTES = 60_000;

describe.skipIf(terraform.kind === 'missing')('the Terraform module', () => {
  describe('is applied in an order', () => {
    let waits: Map<string, ReadonlySet<string>>;

    beforeAll(async () => {
      if (terraform.kind === 'ready') waits = waitsFor((await terraform.graph()).text);
    }, MINUTES);

    it.each(['ingest', 'recover'])(
      'in which %s comes after every subscription, and after its right to publish',
      (name) => {
        const subscriptions = [...waits.keys()].filter((one) => one.startsWith('google_pubsub_subscription.'));
        expect(subscriptions).toHaveLength(2); // every subscriber's, and every one of dead letters
        const before = waits.get(`google_cloudfunctions2_function.${name}`);
        for (const one of [...subscriptions, `google_pubsub_topic_iam_member.${name}`]) expect(before).toContain(one);
      },
    );

    it('in which BigQuery is written once its table is granted', () => {
      expect(waits.get('terraform_data.table_granted')).toContain('google_bigquery_table_iam_member.subscriber');
      expect(waits.get('google_pubsub_subscription.subscriber')).toContain('terraform_data.table_granted');
    });

    it('in which an alert comes after what it tells of', () => {
      const before = waits.get('google_monitoring_alert_policy.path');
      for (const one of ['google_cloudfunctions2_function.ingest', 'google_cloud_scheduler_job.recover'])
        expect(before).toContain(one);
    });

    it('in which everything waits for the APIs to be on', () => {
      const early = [...waits]
        .filter(([, before]) => !before.has('google_project_service.api'))
        .map(([address]) => address)
        .filter((address) => address.startsWith('google_'));
      expect(early.sort()).toEqual(['google_project_service.api', 'google_project_service.resource_manager']);
    });
  });

  describe('as its own tests plan it', () => {
    let code: number;
    let text: string;
    let planned: readonly Resource[];

    beforeAll(async () => {
      if (terraform.kind === 'missing') return;
      ({ code, text } = await terraform.check(['-json', '-verbose']));
      const plan = testLines(text).find((line) => line['@testfile']?.endsWith('topics.tftest.hcl') && line.test_plan);
      planned = plan?.test_plan?.resource_changes ?? [];
    }, 30 * MINUTES); // a minute and a half of work, on a machine that may do twenty other things

    it('is formatted, valid, and keeps the promises that its own tests hold', () => {
      const runs = testLines(text).flatMap(({ test_run }) => (test_run?.progress === 'complete' ? [test_run] : []));
      const failed = runs.filter(({ status }) => status !== 'pass').map(({ run }) => run);
      expect({ failed, code }, code === 0 ? '' : text.slice(-5_000)).toEqual({ failed: [], code: 0 });
      expect(runs.length).toBeGreaterThan(30);
    });

    describe('plans for the projector what npm start makes', () => {
      const { topics, subscriptions } = topology(PROJECTOR, 'http://projector.invalid/');
      const afters = (type: string) => planned.filter((one) => one.type === type).map(({ change }) => change.after);

      it('the same topics', () => {
        const names = afters('google_pubsub_topic').map(({ name }) => name);
        expect(names.sort()).toEqual([...topics].sort());
      });

      it('the same subscriptions of the same topics', () => {
        const plans = afters('google_pubsub_subscription').map(({ name, topic }) => `${name} of ${topic}`);
        expect(plans.sort()).toEqual(subscriptions.map(({ name, topic }) => `${name} of ${topic}`).sort());
      });

      it.skipIf(!hasPubSub)('with the ack deadline, back-off and dead-lettering of delivery.json', async () => {
        const projectId = 'my-project'; // the one that the plan is for
        await provision({ projectId, topicPrefix: '' }, topology(PROJECTOR, 'http://projector.invalid/'));
        const pubsub = new PubSub({ projectId });
        const [made] = await pubsub.getSubscriptions();
        await pubsub.close();

        const seconds = (duration: unknown) => Number((duration as { seconds?: unknown } | undefined)?.seconds ?? 0);
        const asMade = made.map(
          ({ metadata: { name, ackDeadlineSeconds, deadLetterPolicy, retryPolicy, pushConfig } = {} }) => ({
            name: name?.split('/').at(-1),
            ack: ackDeadlineSeconds,
            pushed: Boolean(pushConfig?.pushEndpoint),
            dead: deadLetterPolicy ? [deadLetterPolicy.deadLetterTopic, deadLetterPolicy.maxDeliveryAttempts] : null,
            backoff: retryPolicy ? [seconds(retryPolicy.minimumBackoff), seconds(retryPolicy.maximumBackoff)] : null,
          }),
        );
        const asPlanned = afters('google_pubsub_subscription').map((after) => {
          const [dead] = after.dead_letter_policy as { dead_letter_topic: string; max_delivery_attempts: number }[];
          const [retry] = after.retry_policy as { minimum_backoff: string; maximum_backoff: string }[];
          return {
            name: after.name,
            ack: after.ack_deadline_seconds,
            pushed: (after.push_config as unknown[]).length > 0,
            dead: dead ? [dead.dead_letter_topic, dead.max_delivery_attempts] : null,
            backoff: retry
              ? [Number.parseInt(retry.minimum_backoff, 10), Number.parseInt(retry.maximum_backoff, 10)]
              : null,
          };
        });
        const byName = (a: { name?: unknown }, b: { name?: unknown }) => String(a.name).localeCompare(String(b.name));
        expect(asMade.sort(byName)).toEqual(asPlanned.sort(byName));
      });
    });
  });
});
