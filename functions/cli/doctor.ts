import { ConfigError, type Env } from '../config.ts';
import { within } from '../deadline.ts';
import {
  type Check,
  checks,
  type Finding,
  logsOf,
  type Patient,
  type Probe,
  unchecked,
  word,
  wrong,
} from './doctor-checks.ts';
import { Forbidden, googleOverHttp, NotAskable, probeOf } from './doctor-probe.ts';
import { CommandFailed, failureOf, isOutage, reasonOf } from './failure.ts';
import { counted, inLine, isQuiet, note, print, printJson, sayWaiting, styled } from './output.ts';
import { LOCAL_PROJECT } from './own-secrets.ts';
import { isLoopback, type QueryOptions } from './query-api.ts';

export type DoctorOptions = QueryOptions & {
  readonly ingestUrl?: string;
  readonly project?: string;
  /** Seconds that the canary may take. */
  readonly timeout: number;
  readonly json: boolean;
};

/** A finding, and of which check. */
export type Found = Finding & { readonly check: string; readonly milliseconds: number };

/** Examines a deployment, or what npm start runs. Resolves with the exit code: 1 where something is wrong. */
export async function doctor(options: DoctorOptions, environment: Env): Promise<number> {
  const { url, token, timeout: patience, json } = options;
  const { env, patient } = patientOf(options, environment);
  // Google's libraries would look for a metadata server, in vain.
  if (patient.isLocal) process.env.METADATA_SERVER_DETECTION ??= 'none';
  // Google's clients throw some failures also past whoever called them: here the checks tell of them, and go on.
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', (error) => {
    if (!isOutage(error)) throw error;
  });
  const probe = probeOf({ env, patient, token, patience, google: googleOverHttp() });
  const hush = sayWaiting(url);
  const found: Found[] = [];
  const running = examine(checks(patience), probe, patient);
  for (const each of running) {
    const finding = await each;
    if (!json && (!isQuiet() || finding.verdict === 'wrong')) print(told(finding, found.at(-1)?.mend));
    found.push(finding);
  }
  hush();
  const count = (verdict: string) => found.filter((each) => each.verdict === verdict).length;
  const isWell = count('wrong') === 0;
  const { url: query, ingestUrl: ingest, project, prefix, database } = patient;
  if (json) printJson({ healthy: isWell, query, ingest, project, prefix, database, checks: found.map(asJson) });
  else if (!isQuiet())
    print(
      `${counted(found.length, 'check')}: ${count('fine')} fine, ${count('wrong')} wrong, ${count('unchecked')} unchecked.`,
    );
  if (!json && found.some(({ mend }) => mend?.startsWith('terraform ')))
    note(
      'terraform apply: in the workspace of your last apply and with all of its variables (-var-file), which it undoes else.',
    );
  return isWell ? 0 : 1;
}

/** Begins all of them at once; none waits for another, and none fails. */
export function examine(
  all: readonly Check[],
  probe: Probe,
  patient: Patient,
  now: () => number = () => performance.now(),
): readonly Promise<Found>[] {
  return all.map(async (check) => {
    const began = now();
    const finding = await within(1000 * check.seconds, check.examine(probe, patient), () =>
      wrong(`no answer within ${check.seconds} s`, again(check.name, patient)),
    ).catch((error: unknown) => failing(check.name, error, patient));
    return { check: check.name, ...finding, milliseconds: Math.round(now() - began) };
  });
}

/** What it means that something could not be asked. */
function failing(check: string, error: unknown, patient: Patient): Finding {
  if (error instanceof NotAskable) return unchecked(error.message, error.mend);
  if (error instanceof ConfigError)
    return check === 'config'
      ? wrong(error.message, mendOfConfig(error.message))
      : unchecked('the configuration is wrong: see config');
  if (error instanceof Forbidden)
    return unchecked(
      `${patient.project} refuses your account: it needs ${error.role}`,
      `gcloud projects add-iam-policy-binding ${patient.project} --member="user:$(gcloud config get account)" --role=${error.role}`,
    );
  if (error instanceof CommandFailed) {
    const { code, message } = error;
    if (code === 'unauthenticated' || code === 'permission-denied') return unchecked(message);
    return wrong(message, again(check, patient));
  }
  const { code, message } = failureOf(error);
  if (code === 'unauthenticated')
    return check === 'config'
      ? wrong(message, 'gcloud auth application-default login')
      : unchecked('no credentials of Google Cloud: see config');
  return wrong(isOutage(error) ? `cannot be asked (${reasonOf(error)})` : message, again(check, patient));
}

/** What to look at where nothing answered. */
function again(check: string, patient: Patient): string {
  const { isLocal, project } = patient;
  if (isLocal) return 'npm start';
  if (check === 'query' || check === 'canary') return logsOf('query', patient);
  if (check === 'ingest' || check === 'secret') return logsOf('ingest', patient);
  return `gcloud pubsub topics list --project=${project}`;
}

/** Messages of the configuration begin with the variable that they are about. */
function mendOfConfig(message: string): string {
  const variable = /[A-Z]+(?:_[A-Z]+)+/.exec(message)?.[0] ?? '';
  return /is not set|is empty/.test(message) ? `export ${variable}=…` : `unset ${variable}`;
}

/** @throws CommandFailed where ingest's address cannot be known. */
function patientOf({ url, ingestUrl, project }: DoctorOptions, environment: Env) {
  const isHere = isLoopback(new URL(url).hostname);
  const isLocal =
    Boolean(environment.PUBSUB_EMULATOR_HOST) || (isHere && !(project ?? environment.GOOGLE_CLOUD_PROJECT));
  // That no project is named is a finding.
  const named = project ?? (environment.GOOGLE_CLOUD_PROJECT || (isLocal ? LOCAL_PROJECT : undefined));
  const env = named === undefined ? environment : { ...environment, GOOGLE_CLOUD_PROJECT: named };
  const patient: Patient = {
    url,
    ingestUrl: ingestUrl ?? portBefore(url),
    project: env.GOOGLE_CLOUD_PROJECT ?? '',
    prefix: env.TOPIC_PREFIX ?? '',
    database: env.FIRESTORE_DATABASE || '(default)',
    isLocal,
    secretFile: env.HERON_SHARED_SECRET_FILE || null,
    options: named === undefined || named === environment.GOOGLE_CLOUD_PROJECT ? '' : ` --project ${word(named)}`,
  };
  return { env, patient };
}

/** Where npm start has ingest: `https://…` without a port tells nothing. */
function portBefore(url: string): string {
  const address = new URL(url);
  if (address.port === '')
    throw new CommandFailed(
      `Where ingest is cannot be told from ${url}: name it with --ingest-url, as terraform output -raw webhook_url does.`,
      'misused',
    );
  address.port = String(Number(address.port) - 1);
  address.pathname = '/';
  return address.href;
}

const STYLE = { fine: 'green', wrong: 'red', unchecked: 'yellow' } as const;
const [VERDICT_WIDTH, CHECK_WIDTH] = [9, 14];

/** @param last the command of the check before: once is enough. */
function told({ check, verdict, detail, mend }: Found, last: string | undefined): string {
  const line = `${styled(STYLE[verdict], verdict.padEnd(VERDICT_WIDTH))}  ${styled('bold', check.padEnd(CHECK_WIDTH))}  ${inLine(detail)}`;
  if (mend === undefined || mend === last) return line;
  return `${line}\n${' '.repeat(VERDICT_WIDTH + CHECK_WIDTH + 4)}${styled('dim', '$')} ${inLine(mend)}`;
}

function asJson({ check, verdict, detail, mend, facts, milliseconds }: Found) {
  return { check, verdict, detail, mend: mend ?? null, facts: facts ?? null, milliseconds };
}
