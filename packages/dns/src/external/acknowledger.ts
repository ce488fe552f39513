import type { KubeClient } from '@cloudless/kube/client/client';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { isForbidden, isNotFound } from '@cloudless/kube/status';
import { type DnsEndpoint, dnsEndpoints } from './kinds.ts';

/** Says in the status of DNSEndpoints which generation has been read, as external-dns does. */
export interface Acknowledger extends Running {
  /** The object was read; it is told once what it asks for is published. */
  read(object: DnsEndpoint): void;
  /** What was read so far is published. */
  published(): void;
}

/** Written behind, one after the other; a write that fails is left out, since the next change brings the next one. */
export function startAcknowledger({ client, log }: { client: KubeClient; log: Logger }): Acknowledger {
  const stopping = new AbortController();
  const waiting = new Map<string, DnsEndpoint>();
  let isForbiddenToUs = false;
  let writing: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    for (const [uid, object] of waiting) {
      if (stopping.signal.aborted || isForbiddenToUs) return;
      waiting.delete(uid);
      const { name = '', namespace, generation } = object.metadata;
      const patch = { status: { observedGeneration: generation } };
      try {
        // oxlint-disable-next-line no-await-in-loop -- thousands may come at the start; nobody waits for them
        await client.patch(dnsEndpoints, name, 'merge', patch, {
          namespace,
          subresource: 'status',
          fieldManager: 'cloudless-dns',
          signal: stopping.signal,
        });
      } catch (error) {
        isForbiddenToUs = isForbidden(error);
        if (isForbiddenToUs) log.warn({ err: error }, 'may not write the status of DNSEndpoints');
        else if (!isNotFound(error)) log.debug({ err: error }, 'could not write the status of a DNSEndpoint');
      }
    }
  };
  return {
    read(object) {
      const { uid = '', generation } = object.metadata;
      if (generation === undefined || object.status?.observedGeneration === generation) waiting.delete(uid);
      else waiting.set(uid, object);
    },
    published() {
      if (waiting.size > 0) writing ??= write().finally(() => (writing = undefined));
    },
    ...running(async () => {
      stopping.abort(new Error('stopped'));
      await writing;
    }),
  };
}
