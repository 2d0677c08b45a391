// Heron's events with the functions framework's own handler of CloudEvents.
import { cloudEvent } from '@google-cloud/functions-framework';

/** In a database, where it is to outlive the process. */
const handled = new Set();
let failures = Number(process.env.FAILURES ?? 0);

cloudEvent('receiver', ({ id, type, data }) => {
  // The framework hands over whatever comes; an answer of 2xx would lose what is not a CloudEvent.
  if (!id || !type) throw new Error('not a CloudEvent');
  if (handled.has(id)) return;
  if (failures-- > 0) throw new Error('out of order');
  handled.add(id);
  console.log(JSON.stringify({ id, type, data }));
});
