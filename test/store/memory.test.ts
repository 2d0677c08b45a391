import { describe } from 'vitest';
import { MemoryStore } from '../../functions/store/memory.ts';
import { storeContract } from './contract.ts';

describe('the in-memory store', () => {
  storeContract(
    (now) => {
      const store = new MemoryStore(now);
      return { store, other: store, upkeep: store };
    },
    { runs: 200 },
  );
});
