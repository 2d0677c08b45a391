import type { Store } from '../store/store.ts';
import { only, withId } from './end-users.ts';
import type { Handlers } from './handlers.ts';
import { eventCursor, token } from './parameters.ts';
import { Problem } from './problem.ts';
import { eventAnswer } from './shape.ts';

type EventHandlers = Pick<Handlers, 'listEndUserEvents' | 'getEvent' | 'getEventBody'>;

export function eventHandlers(store: Store): EventHandlers {
  return {
    async listEndUserEvents({ id, page_size, page_token }) {
      const after = eventCursor(page_token);
      const { heron_id } = only(await withId(store, id));
      const { events, next } = await store.events(heron_id, page_size, after);
      const next_page_token = token(next && [next.created, next.event_id]);
      return { json: { events: events.map(eventAnswer), next_page_token } };
    },

    async getEvent({ event_id }) {
      const event = await store.event(event_id);
      if (event === null) throw new Problem('event-unknown');
      return { json: eventAnswer(event) };
    },

    async getEventBody({ event_id }) {
      const bytes = await store.body(event_id);
      if (bytes === null) throw new Problem('event-unknown');
      return { bytes, tag: event_id };
    },
  };
}
