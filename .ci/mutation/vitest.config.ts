import { defineConfig } from 'vitest/config';

/** The tests of the pure rooms alone, which need no emulator: what mutants are tried against. */
export default defineConfig({
  test: {
    include: ['test/{heron,events}/*.test.ts', 'test/projector/lanes.test.ts'],
    exclude: ['test/heron/largest-bodies.test.ts'], // a second each, a minute each when counted
    setupFiles: ['.ci/mutation/shorter-properties.ts'],
    testTimeout: 60_000,
  },
});
