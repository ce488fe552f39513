import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';

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
  hostPorts: Array<{
    hostPort: number;
    containerPort: number;
    protocol: 'tcp' | 'udp' | 'sctp';
    hostIp: string;
  }>;
}

/**
 * The attachments of this node: one JSON file each. Files of an earlier boot are dropped at opening, because no
 * network namespace outlives its kernel.
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
      try {
        const attachment = JSON.parse(readFileSync(path, 'utf8')) as Attachment;
        this.#byKey.set(keyOf(attachment), attachment);
      } catch (error) {
        onDamaged(path, error);
        rmSync(path, { force: true });
      }
    }
  }

  all(): Iterable<Attachment> {
    return this.#byKey.values();
  }

  get(containerId: string, ifName: string): Attachment | undefined {
    return this.#byKey.get(`${containerId}.${ifName}`);
  }

  /** Durable when it resolves: an address is never handed out twice, not even after a power cut. */
  async put(attachment: Attachment): Promise<void> {
    this.#byKey.set(keyOf(attachment), attachment);
    const path = join(this.#folder, keyOf(attachment));
    const file = await open(`${path}.tmp`, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(attachment));
    } finally {
      await file.close();
    }
    await rename(`${path}.tmp`, path);
  }

  delete(containerId: string, ifName: string): void {
    this.#byKey.delete(`${containerId}.${ifName}`);
    rmSync(join(this.#folder, `${containerId}.${ifName}`), { force: true });
  }
}

const keyOf = (attachment: { containerId: string; ifName: string }): string =>
  `${attachment.containerId}.${attachment.ifName}`;
