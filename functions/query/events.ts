import { isHeronId } from '../heron/webhook.ts';
import type { LoggedEvent, LogPage, Store } from '../store/store.ts';
import type { EventPageAnswer } from './answers.ts';
import { only, withId } from './end-users.ts';
import type { Handlers } from './handlers.ts';
import { eventCursor, logCursor, token } from './parameters.ts';
import { Problem } from './problem.ts';
import { eventAnswer } from './shape.ts';

type EventHandlers = Pick<Handlers, 'listEndUserEvents' | 'listEvents' | 'getEvent' | 'getEventBody'>;

export function eventHandlers(store: Store): EventHandlers {
  return {
    async listEndUserEvents({ id, page_size, page_token }, { signal }) {
      const after = eventCursor(page_token);
      const found = await withId(store, id, signal);
      // The log may have events of an end user that has no state: their `created` is not a time.
      const heronId = found.length === 0 && isHeronId(id) ? id : only(found).heron_id;
      const { events, next } = await store.events(heronId, page_size, after, signal);
      if (events.length === 0 && found.length === 0) throw new Problem('end-user-unknown');
      const next_page_token = token(next && [next.created, next.event_id]);
      return { json: { events: events.map(eventAnswer), next_page_token } };
    },

    async listEvents({ topic, unrouted, page_size, page_token }, { signal }) {
      if ((topic === null) === (unrouted === null))
        throw new Problem('bad-request', 'Either topic is asked for, or unrouted=true.');
      const after = logCursor(page_token);
      return {
        json: logAnswer(
          topic === null
            ? await store.unroutedEvents(page_size, after, signal)
            : await store.eventsOfTopic(topic, page_size, after, signal),
        ),
      };
    },

    async getEvent({ event_id }, { signal }) {
      const event = await store.event(event_id, signal);
      if (event === null) throw new Problem('event-unknown');
      return { json: eventAnswer(event) };
    },

    async getEventBody({ event_id }, { signal }) {
      const bytes = await store.body(event_id, signal);
      if (bytes === null) throw new Problem('event-unknown');
      return { bytes, tag: event_id };
    },
  };
}

function logAnswer({ events, next }: LogPage<LoggedEvent>): EventPageAnswer {
  return { events: events.map(eventAnswer), next_page_token: token(next && [next.recorded_at, next.event_id]) };
}
