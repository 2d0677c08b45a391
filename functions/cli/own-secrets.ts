import { type Env, secretSource } from '../config.ts';
import { isLoopback } from './query-api.ts';

/** What npm start takes where none is set. */
export const LOCAL_PROJECT = 'heron-local';
export const LOCAL_SECRET = 'sec_local';

/**
 * The secrets that whoever runs a command signs with at an address: those of the environment; on this machine, where it
 * has none, that of npm start. None where there is none. @throws ConfigError
 */
export function ownSecrets(env: Env, address: string): readonly string[] {
  const isSet = env.HERON_SHARED_SECRET !== undefined || Boolean(env.HERON_SHARED_SECRET_FILE);
  if (isSet) return secretSource(env).secrets;
  return isLoopback(new URL(address).hostname) ? [LOCAL_SECRET] : [];
}
