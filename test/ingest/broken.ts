import { http } from '@google-cloud/functions-framework';
import { answer } from '../../functions/http/answer.ts';
import { drainOnSignals } from '../../functions/http/draining.ts';
import { guarded } from '../../functions/http/handler.ts';
import { takeOverRequests } from '../../functions/http/takeover.ts';
import { cloudLog } from '../../functions/log.ts';

/** A function that fails where nobody catches it: in a callback, a promise that is not awaited, or on closing. */
const log = cloudLog('broken');
takeOverRequests();
drainOnSignals(log, () => Promise.reject(new Error('private')));
http(
  'broken',
  guarded(async (request, response) => {
    if (request.headers['x-break'] === 'callback')
      setTimeout(() => {
        throw new Error('private');
      });
    else if (request.headers['x-break'] === 'promise') void Promise.reject(new Error('private'));
    else if (request.headers['x-break'] === undefined) answer(response, 200);
  }, log),
);
