import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';

/** A port of the node that leads to a pod. */
export interface HostPort {
  hostPort: number;
  containerPort: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** Address of the node on which it is served; '' for all of them. */
  hostIp: string;
}

/** A pod's interface as the CNI plugin made it, kept on disk so that a restarted agent knows it. */
export interface Attachment {
  containerId: string;
  ifName: string;
  /** Interface on the node's side. */
  hostInterface: string;
  ip: string;
  netns: string;
  /** `namespace/name` of the pod, for messages. */
  pod: string;
  hostPorts: HostPort[];
}

/**
 * The attachments of this node: one JSON file each, replaced as a whole. Files of an earlier boot are dropped at
 * opening, because no network namespace outlives its kernel; so they need not survive a power cut.
 */
export class AttachmentStore {
  readonly #folder: string;
  readonly #byKey = new Map<string, Attachment>();

  /** Reads what is on disk; unreadable files are removed and reported through `onDamaged`. */
  constructor(folder: string, bootId: string, onDamaged: (file: string, error: unknown) => void) {
    this.#folder = join(folder, bootId);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder))
      if (name !== bootId) rmSync(join(folder, name), { recursive: true });
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      if (name.startsWith('.')) {
        // Half-written when the agent was killed: the interface was not made yet.
        rmSync(path, { force: true });
        continue;
      }
      try {
        const attachment = parseAttachment(readFileSync(path, 'utf8'), name);
        this.#byKey.set(name, attachment);
      } catch (error) {
        onDamaged(path, error);
        rmSync(path, { force: true, recursive: true });
      }
    }
  }

  /** As they are now, in the order of their making; those found on disk first. */
  all(): Attachment[] {
    return [...this.#byKey.values()];
  }

  get(containerId: string, ifName: string): Attachment | undefined {
    return this.#byKey.get(keyOf({ containerId, ifName }));
  }

  /** When it resolves, an agent killed at any moment afterwards finds the attachment again. */
  async put(attachment: Attachment): Promise<void> {
    const key = keyOf(attachment);
    this.#byKey.set(key, attachment);
    // No container's id begins with a dot (checked where requests are parsed).
    const half = join(this.#folder, `.${key}`);
    await writeFile(half, JSON.stringify(attachment), { mode: 0o600 });
    await rename(half, join(this.#folder, key));
  }

  delete(containerId: string, ifName: string): void {
    const key = keyOf({ containerId, ifName });
    this.#byKey.delete(key);
    rmSync(join(this.#folder, key), { force: true });
  }
}

const keyOf = (attachment: { containerId: string; ifName: string }): string =>
  `${attachment.containerId}.${attachment.ifName}`;

/** Throws unless `text` is the record that belongs into the file `name`. */
function parseAttachment(text: string, name: string): Attachment {
  const value = JSON.parse(text) as Partial<Attachment> | null;
  const texts = [
    value?.containerId,
    value?.ifName,
    value?.hostInterface,
    value?.ip,
    value?.netns,
    value?.pod,
  ];
  if (!texts.every((item) => typeof item === 'string') || !Array.isArray(value?.hostPorts))
    throw new Error('fields of an attachment are missing');
  const attachment = value as Attachment;
  if (!isIPv4(attachment.ip)) throw new Error(`"${attachment.ip}" is no IPv4 address`);
  if (keyOf(attachment) !== name) throw new Error('the record is another attachment’s');
  return attachment;
}
