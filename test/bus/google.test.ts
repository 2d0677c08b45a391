import { PubSub } from '@google-cloud/pubsub';
import { describe, expect, it } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { provision, UNTIRING } from '../../functions/bus/provision.ts';
import { hasPubSub, newProject } from '../emulators.ts';
import { busContract } from './contract.ts';

describe.skipIf(!hasPubSub)('Pub/Sub', () => {
  busContract(() => {
    const config = { projectId: newProject(), topicPrefix: 'staging-' };
    return {
      publisher: new GooglePublisher(config),
      subscriber: new GoogleSubscriber(config),
      provision: (topology, delivery) => provision(config, topology, delivery),
    };
  });

  it('as npm start has it backs off and dead-letters no more, though it was made to', async () => {
    const config = { projectId: newProject(), topicPrefix: '' };
    const push = { endpoint: 'http://127.0.0.1:9/', deadLetterTopic: 'dead-letter.reader' };
    const plan = {
      topics: ['first.topic', 'dead-letter.reader'],
      subscriptions: [{ name: 'reader.first.topic', topic: 'first.topic', push }],
    };
    const pubsub = new PubSub({ projectId: config.projectId });
    const policies = async () => {
      const [{ deadLetterPolicy, retryPolicy }] = await pubsub.subscription('reader.first.topic').getMetadata();
      return [deadLetterPolicy, retryPolicy].map(Boolean);
    };
    await provision(config, plan);
    expect(await policies()).toEqual([true, true]);
    await provision(config, plan, UNTIRING);
    expect(await policies()).toEqual([false, false]);
    await pubsub.close();
  });
});
