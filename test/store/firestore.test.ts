import { describe } from 'vitest';
import { FirestoreStore } from '../../functions/store/firestore.ts';
import { FirestoreUpkeep } from '../../functions/store/firestore-upkeep.ts';
import { hasFirestore, newProject } from '../emulators.ts';
import { storeContract } from './contract.ts';

describe.skipIf(!hasFirestore)('the Firestore store', () => {
  storeContract(
    (now) => {
      const config = { projectId: newProject(), databaseId: '(default)' };
      return {
        store: new FirestoreStore(config, now),
        other: new FirestoreStore(config, now),
        upkeep: new FirestoreUpkeep(config, now),
      };
    },
    { runs: 5 },
  );
});
