import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { givenSignature, isSignatureShaped, Signing, sign, signedBy } from '../../functions/heron/signature.ts';
import vectors from './vectors.json' with { type: 'json' };

const decode = (base64: string): Uint8Array => Buffer.from(base64, 'base64');

describe("requests made with the specification's own algorithm", () => {
  test.each(vectors.accept)('accepted: $name', ({ body_base64, signature }) => {
    expect(signedBy(decode(body_base64), signature, [vectors.secret])).not.toBeNull();
    expect(sign(decode(body_base64), vectors.secret)).toBe(signature);
  });

  test.each(vectors.reject)('rejected: $name', ({ body_base64, signature }) => {
    expect(signedBy(decode(body_base64), signature ?? '', [vectors.secret])).toBeNull();
  });
});

const BODY = Buffer.from(`{
    "topic": "end_user.processed",
    "created": "2021-05-20T09:23:53+00:00",
    "data": {
        "heron_id": "eus_Eqio3Y4dhyNiMphrXwG58p",
        "end_user_id": "myenduser",
        "status": "processed"
    },
    "meta": null
}`);
const SECRET = 'sec_2bXq7mVt0s8nYkLrPz';
const SIGNATURE = '+UpV+LZ9gJ/FyubJaq2hk4ck/wg5duZAZ5Vv4SaiO2c=';

test("the specification's example has the signature that its Python computes", () => {
  expect(sign(BODY, SECRET)).toBe(SIGNATURE);
  expect(signedBy(BODY, SIGNATURE, [SECRET])).not.toBeNull();
});

describe('rotation', () => {
  test.each([
    ['first', [SECRET, 'sec_other', 'sec_third']],
    ['in the middle', ['sec_other', SECRET, 'sec_third']],
    ['last', ['sec_other', 'sec_third', SECRET]],
    ['twice', [SECRET, SECRET]],
  ])('a signature is valid when its secret is %s', (_, secrets) => {
    expect(signedBy(BODY, SIGNATURE, secrets)).not.toBeNull();
  });

  test('a signature of none of the secrets is not valid', () => {
    expect(signedBy(BODY, SIGNATURE, ['sec_other', 'sec_third'])).toBeNull();
  });
});

test('without secrets nothing is valid', () => {
  expect(signedBy(BODY, SIGNATURE, [])).toBeNull();
  expect(signedBy(BODY, '', [])).toBeNull();
});

test('an empty secret signs nothing', () => {
  expect(signedBy(BODY, sign(BODY, ''), [''])).toBeNull();
  expect(signedBy(BODY, sign(BODY, ''), [SECRET, ''])).toBeNull();
});

test('a secret is keyed as UTF-8', () => {
  const known = 'HM/Q/a0af3smA//eNIjm+9hkTTEdeq+QLzkJnPDG0IA=';
  expect(sign(Buffer.from('x'), 'sec_é東')).toBe(known);
});

describe('a signature of the same bytes in another text is not valid', () => {
  // The last digit of 32 bytes in base64 has two bits that decoding drops.
  test.each(['+UpV+LZ9gJ/FyubJaq2hk4ck/wg5duZAZ5Vv4SaiO2d=', '+UpV+LZ9gJ/FyubJaq2hk4ck/wg5duZAZ5Vv4SaiO2f='])(
    'with altered trailing bits: %s',
    (signature) => {
      expect(decode(signature)).toEqual(decode(SIGNATURE));
      expect(signedBy(BODY, signature, [SECRET])).toBeNull();
    },
  );

  test.each([
    ['in the alphabet for URLs', '-UpV-LZ9gJ_FyubJaq2hk4ck_wg5duZAZ5Vv4SaiO2c='],
    ['without padding', SIGNATURE.slice(0, -1)],
    ['with more padding', `${SIGNATURE}=`],
    ['with a space before', ` ${SIGNATURE}`],
    ['with a line feed behind', `${SIGNATURE}\n`],
    ['sent twice', `${SIGNATURE}, ${SIGNATURE}`],
  ])('%s', (_, signature) => {
    expect(signedBy(BODY, signature, [SECRET])).toBeNull();
  });

  test('with letters of which only the low byte is right', () => {
    const wide = String.fromCharCode(...[...SIGNATURE].map((letter) => letter.charCodeAt(0) + 0x100));
    expect(Buffer.from(wide, 'latin1').toString('latin1')).toBe(SIGNATURE);
    expect(isSignatureShaped(wide)).toBe(false);
    expect(signedBy(BODY, wide, [SECRET])).toBeNull();
  });
});

test('no header has not the shape of a signature', () => {
  expect(isSignatureShaped(undefined)).toBe(false);
});

test('what is signed verifies, as any bytes and by any secret', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.string({ minLength: 1, unit: 'binary' }), (body, secret) => {
      const signature = sign(body, secret);
      expect(isSignatureShaped(signature)).toBe(true);
      expect(signedBy(body, signature, [secret])).not.toBeNull();
    }),
  );
});

test('a body with one bit changed does not verify', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), fc.nat(), (body, n) => {
      const signature = sign(body, SECRET);
      const changed = Uint8Array.from(body);
      const bit = n % (body.length * 8);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(signedBy(changed, signature, [SECRET])).toBeNull();
    }),
  );
});

test('a signature with one bit of its text changed does not verify', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(44 * 8 - 1), (body, bit) => {
      const text = Buffer.from(sign(body, SECRET), 'latin1');
      text[bit >> 3] = (text[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(signedBy(body, text.toString('latin1'), [SECRET])).toBeNull();
    }),
  );
});

test('a signature of any length and any letters is refused without an error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 100 }), fc.base64String()), (signature) => {
      expect(signedBy(BODY, signature, [SECRET])).toBeNull();
    }),
  );
});

test('which of the secrets signed is told, the first of equal ones', () => {
  expect(signedBy(BODY, SIGNATURE, [SECRET, 'sec_other'])).toBe(0);
  expect(signedBy(BODY, SIGNATURE, ['', 'sec_other', SECRET, SECRET])).toBe(2);
});

test('a body in pieces has the same signature as in one', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (pieces) => {
      const signing = new Signing(['sec_other', SECRET]);
      for (const piece of pieces) signing.update(piece);
      expect(signing.signedBy(sign(Buffer.concat(pieces), SECRET))).toBe(1);
    }),
  );
});

test.each<[string | string[] | undefined, string]>([
  [undefined, 'unsigned'],
  ['', 'malformed'],
  ['x', 'malformed'],
  [SIGNATURE, 'shaped'],
  [`${SIGNATURE}, ${SIGNATURE}`, 'shaped'],
  [[SIGNATURE], 'shaped'],
  [[SIGNATURE, SIGNATURE], 'shaped'],
  [`${SIGNATURE},`, 'malformed'],
  [`${SIGNATURE}, ${'A'.repeat(43)}=`, 'malformed'],
])('the header %j is %s', (header, kind) => {
  expect(givenSignature(header)).toEqual(kind === 'shaped' ? { kind, signature: SIGNATURE } : { kind });
});
