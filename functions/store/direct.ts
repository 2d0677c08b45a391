import type { DocumentData } from '@google-cloud/firestore';
import { type protos, v1 } from '@google-cloud/firestore-api';
import { grpc } from 'google-gax';
import type { StoreConfig } from '../config.ts';
import { decode, encode } from './values.ts';

/** Which writing of a document, by Firestore's clock. */
type Version = protos.google.protobuf.ITimestamp;

export type Found = { readonly data: DocumentData; readonly version: Version };

/** A document written as a whole: where it is still of that version, or where there is none. */
export type Write = { readonly path: string; readonly data: DocumentData; readonly replaces: Version | null };

/**
 * One read and one commit by the client that Google generates from Firestore's protocol, on which its client for people
 * stands: transactions, streams and converters of that one are a third of what an event costs.
 */
export class DirectClient {
  readonly #client: v1.FirestoreClient;
  readonly #database: string;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param options as the generated client takes them. */
  constructor(
    { projectId, databaseId }: StoreConfig,
    options: NonNullable<ConstructorParameters<typeof v1.FirestoreClient>[0]>,
  ) {
    const emulator = process.env.FIRESTORE_EMULATOR_HOST;
    this.#database = `projects/${projectId}/databases/${databaseId}`;
    this.#headers = {
      'google-cloud-resource-prefix': this.#database,
      ...(emulator ? { authorization: 'Bearer owner' } : {}), // as Google's client does: no rules apply
    };
    this.#client = new v1.FirestoreClient({ ...options, ...(emulator ? atEmulator(emulator) : {}) });
  }

  /** Undefined where there is no such document. */
  async read(path: string): Promise<Found | undefined> {
    await this.#client.initialize(); // or its failure would be handled by nobody
    const request = { database: this.#database, documents: [this.#name(path)] };
    const document = await new Promise<protos.google.firestore.v1.IDocument | undefined>((resolve, reject) => {
      let found: protos.google.firestore.v1.IDocument | undefined;
      this.#client
        .batchGetDocuments(request, this.#call())
        .on('data', (answer: protos.google.firestore.v1.IBatchGetDocumentsResponse) => {
          found = answer.found ?? undefined;
        })
        .on('end', () => resolve(found))
        .on('error', reject);
    });
    return document && { data: decode(document.fields ?? {}), version: document.updateTime ?? {} };
  }

  /**
   * All of them, or none.
   * @throws with ALREADY_EXISTS or FAILED_PRECONDITION where one was of another version.
   */
  async commit(writes: readonly Write[]): Promise<void> {
    await this.#client.initialize();
    await this.#client.commit(
      { database: this.#database, writes: writes.map((write) => this.#write(write)) },
      this.#call(),
    );
  }

  /** What is on its way ends first. */
  close(): Promise<void> {
    return this.#client.close();
  }

  #write({ path, data, replaces }: Write): protos.google.firestore.v1.IWrite {
    const { fields, serverTimes } = encode(data);
    return {
      update: { name: this.#name(path), fields },
      updateTransforms: serverTimes.map((fieldPath) => ({ fieldPath, setToServerValue: 'REQUEST_TIME' })),
      currentDocument: replaces === null ? { exists: false } : { updateTime: replaces },
    };
  }

  #name(path: string): string {
    return `${this.#database}/documents/${path}`;
  }

  /** The client adds to what it is given. */
  #call() {
    return { otherArgs: { headers: { ...this.#headers } } };
  }
}

function atEmulator(address: string) {
  const { hostname, port } = new URL(`http://${address}`);
  return {
    apiEndpoint: hostname,
    port: Number(port || v1.FirestoreClient.port),
    sslCreds: grpc.credentials.createInsecure(),
  };
}
