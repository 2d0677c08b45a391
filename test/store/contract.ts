import { afterEach, beforeEach } from 'vitest';
import type { Clock } from '../../functions/clock.ts';
import { instantOf } from '../../functions/heron/instant.ts';
import { appendingContract } from './contract/appending.ts';
import { bodiesContract } from './contract/bodies.ts';
import { canaryContract } from './contract/canary.ts';
import { endUsersContract } from './contract/end-users.ts';
import { erasureContract } from './contract/erasure.ts';
import { historyContract } from './contract/history.ts';
import { idsContract } from './contract/ids.ts';
import { rebuildingContract } from './contract/rebuilding.ts';
import { topicsContract } from './contract/topics.ts';
import { watchingContract } from './contract/watching.ts';
import { NOW, type Side } from './sides.ts';

/** What both sides of the port hold to. @param runs how many examples each property is tried with. */
export function storeContract(open: (now: Clock) => Side, { runs }: { readonly runs: number }): void {
  let opened: Side;
  const sides = () => opened;

  beforeEach(() => {
    opened = open(() => instantOf(NOW));
  });

  afterEach(async () => {
    await Promise.all([opened.store.close(), opened.other.close(), opened.upkeep.close()]);
  });

  appendingContract(sides, { runs });
  bodiesContract(sides);
  historyContract(sides);
  endUsersContract(sides);
  topicsContract(sides);
  watchingContract(sides);
  canaryContract(sides);
  idsContract(sides);
  erasureContract(sides);
  rebuildingContract(sides);
}
