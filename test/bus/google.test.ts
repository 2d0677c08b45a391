import { describe } from 'vitest';
import { GooglePublisher } from '../../functions/bus/google.ts';
import { GoogleSubscriber } from '../../functions/bus/google-subscriber.ts';
import { provision } from '../../functions/bus/provision.ts';
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
});
