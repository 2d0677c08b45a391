import { configureGlobal } from 'fast-check';

// A thousand mutants, each against every property that covers it: hundreds of runs each would take a day.
configureGlobal({ interruptAfterTimeLimit: 1_000, markInterruptAsFailure: false });
