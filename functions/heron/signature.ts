import { createHmac, type Hmac, timingSafeEqual } from 'node:crypto';

/** The request header that carries the signature (Node gives header names in lower case). */
export const SIGNATURE_HEADER = 'heron-signature';

/** 32 bytes in padded base64. */
const SHAPE = /^[A-Za-z0-9+/]{43}=$/;

/**
 * Heron's signature of a body: base64 (standard alphabet, padded) of HMAC-SHA256 over the bytes, keyed with the shared
 * secret. Source: Heron's webhooks page, "Verification".
 */
export function sign(body: Uint8Array, secret: string): string {
  return createHmac('sha256', secret).update(body).digest('base64');
}

/** Whether a header value could be a signature at all: what fails here need not have its body read. */
export function isSignatureShaped(value: string | undefined): value is string {
  return value !== undefined && SHAPE.test(value);
}

/** What a request says in {@link SIGNATURE_HEADER}. */
export type GivenSignature =
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'shaped'; readonly signature: string };

/**
 * Reads the header. Sent more than once, or by a proxy joined with commas (which no signature has), equal copies count
 * once, and differing ones are malformed: nobody could say which was meant.
 */
export function givenSignature(header: string | readonly string[] | undefined): GivenSignature {
  if (header === undefined) return { kind: 'unsigned' };
  if (typeof header === 'string' && SHAPE.test(header)) return { kind: 'shaped', signature: header };
  const [signature, ...others] = new Set(
    String(header)
      .split(',')
      .map((copy) => copy.trim()),
  );
  return isSignatureShaped(signature) && others.length === 0 ? { kind: 'shaped', signature } : { kind: 'malformed' };
}

/**
 * Which of the secrets signed the body, counted from 0, or null where none did. The texts themselves are compared, as
 * Heron's specification does, so a signature that only decodes to the same bytes is refused. Every secret is tried and
 * each comparison takes constant time, so that the time tells neither which secret matched nor how much of one did. No
 * secrets: null. An empty one is none: anybody could sign with it.
 */
export function signedBy(body: Uint8Array, signature: string, secrets: readonly string[]): number | null {
  const signing = new Signing(secrets);
  signing.update(body);
  return signing.signedBy(signature);
}

/** The same for a body that comes in pieces and is not kept. */
export class Signing {
  readonly #hmacs: readonly (Hmac | null)[];

  constructor(secrets: readonly string[]) {
    this.#hmacs = secrets.map((secret) => (secret === '' ? null : createHmac('sha256', secret)));
  }

  update(piece: Uint8Array): void {
    for (const hmac of this.#hmacs) hmac?.update(piece);
  }

  /** Like {@link signedBy}, of all pieces; nothing may be added afterwards. */
  signedBy(signature: string): number | null {
    if (!isSignatureShaped(signature)) return null;
    // Both are ASCII of one length, so that equal bytes are equal texts.
    const given = Buffer.from(signature);
    let found: number | null = null;
    for (const [i, hmac] of this.#hmacs.entries())
      if (hmac !== null && timingSafeEqual(given, Buffer.from(hmac.digest('base64')))) found ??= i;
    return found;
  }
}
