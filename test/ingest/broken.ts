import { http } from '@google-cloud/functions-framework';
import { answer } from '../../functions/http/answer.ts';
import { drainOnSignals } from '../../functions/http/draining.ts';
import { type Handler, stopping, takeOverRequests } from '../../functions/http/server.ts';
import { cloudLog } from '../../functions/log.ts';

/** A function that fails where nobody catches it: in a callback, a promise that is not awaited, or on closing. */
const log = cloudLog('broken');
const handler: Handler = async (request, response) => {
  switch (request.headers['x-break']) {
    case undefined:
      return answer(response, 200, String(stopping.aborted));
    case 'callback':
      setTimeout(() => {
        throw new Error('private');
      });
      return;
    case 'promise':
      void Promise.reject(new Error('private'));
  }
};
takeOverRequests(handler, log);
drainOnSignals(log, () => Promise.reject(new Error('private')));
http('broken', handler);
