import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { DOCUMENTED } from '../../functions/heron/payloads.ts';
import { type HandlerOptions, responder } from '../../functions/subscriber/respond.ts';
import {
  Discard,
  type Noted,
  type Once,
  RetryAfter,
  type Subscriber,
  subscriber,
  type Topics,
} from '../../functions/subscriber/subscriber.ts';
import { END_USER, linesOf, pushed, requestOf, type Sent, SUBSCRIPTION } from './given.ts';

/** What became of a push, and what was logged. */
async function deliver(to: Subscriber, sent: Sent, options: HandlerOptions = {}) {
  const { lines, log } = linesOf();
  const response = await responder(to, { log, ...options })(requestOf(sent));
  return { ...response, lines };
}

/** A subscriber whose handlers tell which of them ran. */
function telling(...topics: readonly string[]): { service: Subscriber; ran: string[] } {
  const ran: string[] = [];
  const service = subscriber(() => ran.push('fallback'));
  for (const topic of topics) service.on(topic, () => ran.push(topic));
  return { service, ran };
}

describe('of the handlers that could take an event, the most specific alone runs:', () => {
  it.each([
    ['its topic before any pattern', ['*', 'pdf.*', 'pdf.parsed'], 'pdf.parsed', 'pdf.parsed'],
    ['the pattern that says most', ['*', 'pdf.*', 'pdf.p*'], 'pdf.parsed', 'pdf.p*'],
    ['a pattern that begins with a star', ['*', '*.failed'], 'pdf.failed', '*.failed'],
    ['a topic that nobody has heard of, by its pattern', ['end_user.*'], 'end_user.merged', 'end_user.*'],
    ['what no handler takes', ['end_user.*', 'pdf.parsed'], 'pdf.parsed_twice', 'fallback'],
    ['a dot is a dot', ['pdf.*'], 'pdfx', 'fallback'],
    ['every topic', ['*'], 'a\nb', '*'],
  ])('%s', async (_, topics, topic, expected) => {
    for (const order of [topics, [...topics].reverse()]) {
      const { service, ran } = telling(...order);
      expect(await deliver(service, { ...pushed(topic, {}) })).toMatchObject({ status: 204 });
      expect(ran).toEqual([expected]);
    }
  });
});

describe('a subscriber', () => {
  it('says which topics it wants, as they were given', () => {
    expect(telling('end_user.processed', 'end_user.*', 'pdf.processed').service.patterns()).toEqual([
      'end_user.processed',
      'end_user.*',
      'pdf.processed',
    ]);
  });

  it('takes a topic once', () => {
    expect(() => telling('pdf.*', 'pdf.*')).toThrow("'pdf.*' has a handler already");
  });

  it('is as it is once it is served', async () => {
    const { service } = telling('pdf.*');
    responder(service);
    expect(() => service.on('end_user.*', () => {})).toThrow('comes too late');
  });

  it('takes one handler for what is not an event, and none once it is served', () => {
    const { service } = telling();
    expect(() => Reflect.apply(service.onInvalid, service, ['handler'])).toThrow(TypeError);
    service.onInvalid(() => {});
    expect(() => service.onInvalid(() => {})).toThrow('has a handler already');
    responder(service);
    expect(() => service.onInvalid(() => {})).toThrow('comes too late');
  });

  it('is only what subscriber() made', () => {
    expect(() => responder({ on: () => {}, patterns: () => [] } as unknown as Subscriber)).toThrow('installed twice');
  });

  it('needs a handler for what no other takes', () => {
    expect(() => Reflect.apply(subscriber, undefined, [])).toThrow(TypeError);
  });

  it.each([
    ['no handler', ['a.b']],
    ['a handler that is none', ['a.b', 'handler']],
    ['two handlers', ['a.b', () => {}, () => {}]],
    ['two schemas', ['a.b', v.object({}), v.object({}), () => {}]],
    ['no topic', [() => {}, () => {}]],
    ['an empty topic', ['', () => {}]],
  ])('refuses %s at once', (_, given) => {
    const service = subscriber(() => {});
    expect(() => Reflect.apply(service.on, service, given)).toThrow(TypeError);
  });
});

describe('a handler gets', () => {
  it('the event, whether its topic is known, and which replay sent it', async () => {
    const got: unknown[] = [];
    const service = subscriber((event, context) => got.push(event, context));
    const sent = pushed('submission.archived', { heron_id: 'sub_1' }, { 'ce-replayid': 'r-1' });
    await deliver(service, sent);
    expect(got).toEqual([
      {
        id: sent.headers['ce-id'],
        topic: 'submission.archived',
        created: '2026-09-01T10:00:00Z',
        data: { heron_id: 'sub_1' },
        meta: null,
        body: sent.body,
      },
      {
        known: false,
        attempt: undefined,
        replay: 'r-1',
        signal: expect.any(AbortSignal),
        message: {
          attributes: {
            'ce-specversion': '1.0',
            'ce-id': sent.headers['ce-id'],
            'ce-type': 'submission.archived',
            'ce-source': 'https://app.herondata.io',
            'ce-replayid': 'r-1',
            'Content-Type': 'application/json',
          },
          messageId: '12345',
          publishTime: '2026-09-01T10:00:05Z',
          subscription: SUBSCRIPTION,
        },
        note: expect.any(Function),
      },
    ]);
    await deliver(
      subscriber((_, { known }) => got.push(known)),
      pushed('pdf.parsed', {}),
    );
    expect(got.at(-1)).toBe(true);
  });

  it('no event that is not of the shape its type says: it is discarded, with the reason', async () => {
    const { service, ran } = telling('end_user.processed', 'transactions.deleted', 'end_user.*');
    for (const [topic, data, reason] of [
      [
        'end_user.processed',
        { ...END_USER, end_user_id: 7 },
        'not the documented shape: data.end_user_id is not a text',
      ],
      ['end_user.processed', {}, 'not the documented shape: data.heron_id is not a text'],
      [
        'transactions.deleted',
        { transactions: [{}] },
        'not the documented shape: data.transactions[].heron_id is not a text',
      ],
    ] as const) {
      const { status, lines } = await deliver(service, pushed(topic, data));
      expect({ status, lines }).toMatchObject({ status: 503, lines: [{ outcome: 'not_dead_lettered', reason }] });
    }
    expect(ran).toEqual([]);
    await deliver(service, pushed('transactions.deleted', { transactions: [{ heron_id: 'txn_1' }] }));
    await deliver(service, pushed('end_user.merged', {}));
    expect(ran).toEqual(['transactions.deleted', 'end_user.*']);
  });

  it('not what Heron does not document, such as data that is a list: that is for the one given first', async () => {
    const { service, ran } = telling('end_user.processed', '*');
    await deliver(service, pushed('end_user.processed', []));
    expect(ran).toEqual(['fallback']);
  });
});

describe('a schema', () => {
  const pages = v.object({ heron_id: v.string(), pages: v.pipe(v.string(), v.transform(Number)) });

  it('types and transforms what its handler gets', async () => {
    const got: number[] = [];
    const service = subscriber(() => {}).on('pdf.processed', pages, ({ data }) => {
      expectTypeOf(data).toEqualTypeOf<{ heron_id: string; pages: number }>();
      got.push(data.pages);
    });
    expect(await deliver(service, pushed('pdf.processed', { heron_id: 'pdf_1', pages: '12' }))).toMatchObject({
      status: 204,
    });
    expect(got).toEqual([12]);
  });

  it('discards what does not fit, and quotes nothing of it', async () => {
    const service = subscriber(() => {}).on('pdf.processed', pages, () => {});
    const { lines } = await deliver(service, pushed('pdf.processed', { heron_id: 'pdf_secret', pages: 12 }));
    expect(lines).toMatchObject([{ reason: 'the data does not fit the schema at data.pages' }]);
    expect(JSON.stringify(lines)).not.toContain('secret');
  });

  it('names no key of the data that is not like a field', async () => {
    const byName = v.record(v.string(), v.number());
    const service = subscriber(() => {}).on('pdf.processed', byName, () => {});
    const data = { 'Jane Doe': 'x', a: 'x', b: 'x', c: 'x', d: 'x', e: 'x' };
    expect((await deliver(service, pushed('pdf.processed', data))).lines).toMatchObject([
      { reason: 'the data does not fit the schema at data.…, data.a, data.b, data.c, data.d, more' },
    ]);
  });

  it('takes the place of the documented shape', async () => {
    const loose = v.looseObject({ heron_id: v.string() });
    const service = subscriber(() => {}).on('end_user.processed', loose, () => {});
    expect(await deliver(service, pushed('end_user.processed', { heron_id: 'eus_1' }))).toMatchObject({ status: 204 });
  });
});

describe('a once', () => {
  const outcomes = (outcome: Awaited<ReturnType<Once<unknown>['run']>>): Once<{ transaction: string }> => ({
    run: async ({ eventId, subscriber }, handler) => {
      if (outcome.kind === 'done') await handler({ transaction: `${subscriber}/${eventId}` });
      return outcome;
    },
  });

  it('hands its handler what it has, and is asked by the name of the subscriber and the event', async () => {
    const got: string[] = [];
    const service = subscriber(() => {}).on('pdf.parsed', outcomes({ kind: 'done' }), (_, { transaction, known }) => {
      got.push(transaction, String(known));
    });
    const sent = pushed('pdf.parsed', {});
    expect(await deliver(service, sent)).toMatchObject({ status: 204, lines: [{ outcome: 'handled' }] });
    expect(got).toEqual([`underwriting/${sent.headers['ce-id']}`, 'true']);
  });

  it.each([
    ['its own, where it is given', { name: 'ledger' }, SUBSCRIPTION, 'ledger'],
    ['its own, with the prefix', { name: 'ledger', topicPrefix: 'staging-' }, SUBSCRIPTION, 'staging-ledger'],
    [
      'that of its subscription, with the prefix',
      {},
      'projects/p/subscriptions/staging-replay.ledger',
      'staging-ledger',
    ],
    [
      "that of heron listen, whatever is given, so that no other's is marked",
      { name: 'ledger', topicPrefix: 'staging-' },
      'projects/p/subscriptions/staging-listen_jane.pdf.parsed',
      'staging-listen_jane',
    ],
    ['the whole of a subscription that was made by hand', {}, 'projects/p/subscriptions/by-hand', 'by-hand'],
  ])('is asked by the name of the subscriber: %s', async (_, options, subscription, name) => {
    const got: string[] = [];
    const service = subscriber(() => {}).on('pdf.parsed', outcomes({ kind: 'done' }), (_, { transaction }) => {
      got.push(transaction);
    });
    const sent = pushed('pdf.parsed', {}, { 'x-goog-pubsub-subscription-name': subscription });
    await deliver(service, sent, options);
    expect(got).toEqual([`${name}/${sent.headers['ce-id']}`]);
  });

  it('of what was handled before is acknowledged', async () => {
    const service = subscriber(() => {}).on('pdf.parsed', outcomes({ kind: 'seen_before' }), () => {});
    expect(await deliver(service, pushed('pdf.parsed', {}))).toMatchObject({
      status: 204,
      lines: [{ outcome: 'seen_before' }],
    });
  });

  it('of what is being handled says when to come again', async () => {
    const service = subscriber(() => {}).on('pdf.parsed', outcomes({ kind: 'busy', seconds: 7 }), () => {});
    expect(await deliver(service, pushed('pdf.parsed', {}))).toMatchObject({
      status: 503,
      headers: { 'Retry-After': '7' },
    });
  });

  it('may stand behind a schema', async () => {
    const got: unknown[] = [];
    const service = subscriber(() => {}).on(
      'pdf.parsed',
      v.object({ n: v.number() }),
      outcomes({ kind: 'done' }),
      ({ data }, { transaction }) => {
        expectTypeOf(data).toEqualTypeOf<{ n: number }>();
        expectTypeOf(transaction).toEqualTypeOf<string>();
        got.push(data.n);
      },
    );
    await deliver(service, pushed('pdf.parsed', { n: 1 }));
    await deliver(service, pushed('pdf.parsed', { n: 'x' }));
    expect(got).toEqual([1]);
  });
});

describe('what a handler throws', () => {
  const throwing = (error: unknown) =>
    deliver(
      subscriber(() => {
        throw error;
      }),
      pushed('a.b', {}),
    );

  it('is a 500, which says nothing of it, and a line that quotes nothing', async () => {
    const { status, body, lines } = await throwing(new TypeError('eus_secret is not a function'));
    expect({ status, lines }).toMatchObject({ status: 500, lines: [{ severity: 'ERROR', outcome: 'failed' }] });
    expect(`${body}${JSON.stringify(lines)}`).not.toContain('secret');
    expect(lines[0]?.error).toMatch(/^TypeError at /);
  });

  it('may say when to try again', async () => {
    expect(await throwing(new RetryAfter(29.5))).toMatchObject({
      status: 503,
      headers: { 'Retry-After': '30' },
      lines: [{ severity: 'WARNING', outcome: 'retry_after' }],
    });
    expect(() => new RetryAfter(-1)).toThrow(RangeError);
    expect(() => new RetryAfter(Number.NaN)).toThrow(RangeError);
  });

  it('may say that it never will be: 503 until Pub/Sub dead-letters it, where nothing else can', async () => {
    expect(await throwing(new Discard('a currency that we do not take'))).toMatchObject({
      status: 503,
      lines: [{ severity: 'ERROR', outcome: 'not_dead_lettered', reason: 'a currency that we do not take' }],
    });
  });
});

describe('what a handler notes', () => {
  const line = async (note: Noted, error?: Error) => {
    const service = subscriber((_, context) => {
      context.note(note);
      if (error !== undefined) throw error;
    });
    const { lines } = await deliver(service, pushed('a.b', {}));
    expect(lines).toHaveLength(1);
    return lines[0];
  };
  const note = { outcome: 'approved', message: 'decided', severity: 'NOTICE', rule: 7, topic: 'a.c' } as const;

  it('stands in the line of its event', async () => {
    expect(await line(note)).toMatchObject({ ...note, event_id: pushed('a.b', {}).headers['ce-id'] });
  });

  it('does not say what became of an event that was not handled', async () => {
    for (const [error, outcome, severity] of [
      [new Error('broken'), 'failed', 'ERROR'],
      [new RetryAfter(1), 'retry_after', 'WARNING'],
      [new Discard('never'), 'not_dead_lettered', 'ERROR'],
    ] as const)
      expect(await line(note, error)).toMatchObject({
        outcome,
        severity,
        message: expect.not.stringContaining('decided'),
        rule: 7,
        topic: 'a.c',
      });
  });

  it('may come bit by bit', async () => {
    const service = subscriber(async (_, { note }) => {
      note({ first: 1, second: 1 });
      await Promise.resolve();
      note({ second: 2 });
    });
    expect((await deliver(service, pushed('a.b', {}))).lines).toMatchObject([{ first: 1, second: 2 }]);
  });
});

describe('types', () => {
  it('of documented topics are precise', () => {
    subscriber((event) => {
      expectTypeOf(event.topic).toEqualTypeOf<string | null>();
      expectTypeOf(event.data).toBeUnknown();
    })
      .on('end_user.processed', ({ topic, created, data, meta, body }, { attempt, replay, signal }) => {
        expectTypeOf(topic).toEqualTypeOf<'end_user.processed'>();
        expectTypeOf(created).toBeString();
        expectTypeOf(data.end_user_id).toBeString();
        expectTypeOf(data.status === 'archived').toBeBoolean();
        expectTypeOf(meta).toEqualTypeOf<Readonly<Record<string, unknown>> | null>();
        expectTypeOf(body).toEqualTypeOf<Uint8Array>();
        expectTypeOf(attempt).toEqualTypeOf<number | undefined>();
        expectTypeOf(replay).toEqualTypeOf<string | undefined>();
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      })
      .on('end_user.*', ({ topic, data }) => {
        expectTypeOf(topic).toEqualTypeOf<`end_user.${string}`>();
        expectTypeOf(data).toEqualTypeOf<Record<string, unknown>>();
      })
      .on('transactions.deleted', ({ data }) => {
        expectTypeOf(data.transactions[0]!.heron_id).toBeString();
      })
      .on('pdf.parsed', async ({ data }) => {
        expectTypeOf(data).toEqualTypeOf<Record<string, unknown>>();
      });
  });

  it('are what the schemas of the payloads say', () => {
    type Status = 'new' | 'ready' | 'processed' | 'failed' | 'review_requested' | 'reviewed' | (string & {});
    type EndUser = { readonly heron_id: string; readonly end_user_id: string; readonly status: Status };
    expectTypeOf<Topics['end_user.processed']>().toEqualTypeOf<EndUser>();
    type Deleted = { readonly transactions: readonly { readonly heron_id: string }[] };
    expectTypeOf<Topics['transactions.deleted']>().toEqualTypeOf<Deleted>();
    expectTypeOf<keyof Topics>().toEqualTypeOf<keyof typeof DOCUMENTED>();
  });
});
