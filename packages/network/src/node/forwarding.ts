import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '@cloudless/kube/logger';
import { ipJson } from '../iproute.ts';
import { anchorDevice } from './anchor.ts';

const pathOf = (setting: string): string => `/proc/sys/net/ipv4/${setting}`;

interface Memory {
  bootId: string;
  /** What settings below /proc/sys/net/ipv4 were before they were first changed. */
  before: Record<string, string>;
}

/** What was remembered in this boot; nothing when nothing was, or nothing that can be read. */
function recall(memory: string, bootId: string): Record<string, string> {
  try {
    const remembered = JSON.parse(readFileSync(memory, 'utf8')) as Memory;
    // A file of an earlier version holds the one value of ip_forward.
    const before =
      typeof remembered.before === 'string' ? { ip_forward: remembered.before } : remembered.before;
    return remembered.bootId === bootId ? before : {};
  } catch {
    return {};
  }
}

/** Changes a setting; what it was in this boot is written to `memory` first, once. Whether it was another value. */
function change(memory: string, bootId: string, setting: string, value: string): boolean {
  const before = readFileSync(pathOf(setting), 'utf8').trim();
  if (before === value) return false;
  const remembered = recall(memory, bootId);
  if (remembered[setting] === undefined) {
    mkdirSync(dirname(memory), { recursive: true });
    writeFileSync(memory, JSON.stringify({ bootId, before: { ...remembered, [setting]: before } }));
  }
  writeFileSync(pathOf(setting), value);
  return true;
}

/** Turns forwarding on, remembering in `memory` what it was. Does nothing when it is on already. */
export function enableForwarding(memory: string, bootId: string): void {
  change(memory, bootId, 'ip_forward', '1');
}

interface AddressedLink {
  ifname: string;
  flags: string[];
  addr_info?: unknown[];
}

/** Links by which traffic to Services can come from outside: up, with an IPv4 address, not our own. */
async function uplinks(): Promise<string[]> {
  const links = await ipJson<AddressedLink>(['-4', 'addr', 'show', 'up']);
  return links
    .filter(({ flags, addr_info: addresses }) => !flags.includes('LOOPBACK') && (addresses?.length ?? 0) > 0)
    .map(({ ifname }) => ifname)
    .filter((name) => name !== anchorDevice && existsSync(pathOf(`conf/${name}`)));
}

/**
 * Makes the links from outside fit for the addresses of Services, remembering in `memory` what was:
 *
 * - no redirects: a client whose packets go on to another node by the same link would be told to skip this one, and the kernel
 *   counts refusals against the same limit;
 * - no strict reverse-path filter where there is no default route: clients from elsewhere come in there too. It becomes
 *   the loose one, which still refuses senders to which there is no route at all.
 *
 * Nothing is needed about ARP: addresses of load balancers are on no interface, so the kernel never answers for them.
 */
export class UplinkTuning {
  readonly #memory: string;
  readonly #bootId: string;
  readonly #log: Logger;
  /** Settings that could not be changed, told once. */
  readonly #told = new Set<string>();

  constructor(memory: string, bootId: string, log: Logger) {
    this.#memory = memory;
    this.#bootId = bootId;
    this.#log = log;
  }

  /** Looks at the links that there are now. A setting that cannot be changed (a container's /proc) does not stop the rest. */
  async apply(): Promise<void> {
    this.#change('conf/all/send_redirects', '0');
    const defaults = await ipJson<{ dev?: string }>(['-4', 'route', 'show', 'default']);
    const common = Number(readFileSync(pathOf('conf/all/rp_filter'), 'utf8'));
    for (const name of await uplinks()) {
      this.#change(`conf/${name}/send_redirects`, '0');
      const filter = Math.max(common, Number(readFileSync(pathOf(`conf/${name}/rp_filter`), 'utf8')));
      if (filter === 1 && !defaults.some(({ dev }) => dev === name)) this.#loosen(name);
    }
  }

  #loosen(name: string): void {
    if (this.#change(`conf/${name}/rp_filter`, '2'))
      this.#log.info(
        { interface: name },
        'the reverse-path filter is loose now: clients of Services come from anywhere',
      );
  }

  #change(setting: string, value: string): boolean {
    try {
      return change(this.#memory, this.#bootId, setting, value);
    } catch (error) {
      if (!this.#told.has(setting))
        this.#log.warn({ setting: `net.ipv4.${setting}`, value, err: String(error) }, 'could not be set');
      this.#told.add(setting);
      return false;
    }
  }
}

/** Sets everything to what it was before {@link enableForwarding} and {@link UplinkTuning} in this boot. */
export function restoreForwarding(memory: string, bootId: string): void {
  for (const [setting, value] of Object.entries(recall(memory, bootId))) {
    try {
      writeFileSync(pathOf(setting), value);
    } catch {
      // The link is gone, or what cannot be set now could not be set then.
    }
  }
  rmSync(memory, { force: true });
}
