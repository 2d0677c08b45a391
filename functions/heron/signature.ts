import { createHmac, timingSafeEqual } from 'node:crypto';

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

/**
 * Whether one of the secrets signed the body. The texts themselves are compared, as Heron's specification does, so a
 * signature that only decodes to the same bytes is refused. Every secret is tried and each comparison takes constant
 * time, so that the time tells neither which secret matched nor how much of one did. No secrets: never. An empty one
 * is none: anybody could sign with it.
 */
export function verify(body: Uint8Array, signature: string, secrets: readonly string[]): boolean {
  if (!isSignatureShaped(signature)) return false;
  // Both are ASCII of one length, so that equal bytes are equal texts.
  const given = Buffer.from(signature, 'latin1');
  let valid = false;
  for (const secret of secrets) {
    if (secret !== '' && timingSafeEqual(given, Buffer.from(sign(body, secret), 'latin1'))) valid = true;
  }
  return valid;
}
