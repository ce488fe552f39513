import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

/** What a host of a segment is started with: both with their prefix length (`10.9.0.1/24`). */
export interface HostAddresses {
  readonly ipv4?: string;
  readonly ipv6?: string;
}

/** A machine in a network namespace of its own, with one interface, `eth0`, on the segment. */
export interface Host {
  readonly name: string;
  /** For `nsenter --net=`. */
  readonly netns: string;
  /** Runs a program inside to its end; its standard output. Throws when it fails. */
  run(program: string, ...args: string[]): string;
  /** Starts a program inside; it is killed when the segment closes. Standard input and output are pipes. */
  start(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): ChildProcess;
  /** Cuts the host's port at the switch while its own interface stays up: power loss, as others see it. */
  cut(): void;
  /** Undoes {@link Host.cut}. */
  reconnect(): void;
  /** Moves the host's port to another bridge, which is made when it is new: halves of a partition. All begin on `br0`. */
  moveTo(bridgeName: string): void;
}

/** A layer-2 network of hosts: a bridge in a namespace of its own. */
export interface Segment {
  addHost(name: string, addresses: HostAddresses): Promise<Host>;
  /** Ends every program and namespace. Safe to call twice. */
  close(): void;
}

/** Makes an empty segment. Throws when not root. */
export async function openSegment(): Promise<Segment> {
  const holders: ChildProcess[] = [];
  const children = new Set<ChildProcess>();
  const newNamespace = async (): Promise<string> => {
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep 900'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => resolve());
      holder.once('exit', () => reject(new Error('unshare --net failed: network tests need root')));
    });
    // A test that fails before it closes the segment still ends.
    holder.unref();
    (holder.stdout as Readable & { unref?(): void }).unref?.();
    holders.push(holder);
    return `/proc/${holder.pid}/ns/net`;
  };
  const inside = (netns: string, program: string, args: readonly string[]): string =>
    execFileSync('nsenter', [`--net=${netns}`, program, ...args], { encoding: 'utf8', timeout: 20_000 });
  const bridge = await newNamespace();
  inside(bridge, 'ip', ['link', 'add', 'br0', 'type', 'bridge']);
  inside(bridge, 'ip', ['link', 'set', 'br0', 'up']);
  const bridges = new Set(['br0']);

  return {
    async addHost(name, { ipv4, ipv6 }) {
      const netns = await newNamespace();
      const [pid = ''] = /\d+/.exec(netns) ?? [];
      const port = `to-${name}`.slice(0, 15);
      // Addresses are of use at once, without a second of duplicate address detection.
      inside(netns, 'sh', ['-c', 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad']);
      inside(bridge, 'ip', ['link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid]);
      inside(bridge, 'ip', ['link', 'set', port, 'master', 'br0', 'up']);
      inside(netns, 'ip', ['link', 'set', 'lo', 'up']);
      inside(netns, 'ip', ['link', 'set', 'eth0', 'up']);
      if (ipv4 !== undefined) inside(netns, 'ip', ['address', 'add', ipv4, 'dev', 'eth0']);
      if (ipv6 !== undefined) inside(netns, 'ip', ['address', 'add', ipv6, 'dev', 'eth0', 'nodad']);
      return {
        name,
        netns,
        run: (program, ...args) => inside(netns, program, args),
        start(program, args, env) {
          const child = spawn('nsenter', [`--net=${netns}`, program, ...args], {
            stdio: ['pipe', 'pipe', 'inherit'],
            ...(env === undefined ? {} : { env }),
          });
          children.add(child);
          child.once('exit', () => children.delete(child));
          return child;
        },
        // Taken down, the port would take the carrier from the host's own interface.
        cut: () => void inside(bridge, 'ip', ['link', 'set', port, 'nomaster']),
        reconnect: () => void inside(bridge, 'ip', ['link', 'set', port, 'master', 'br0']),
        moveTo(bridgeName) {
          if (!bridges.has(bridgeName)) {
            inside(bridge, 'ip', ['link', 'add', bridgeName, 'type', 'bridge']);
            inside(bridge, 'ip', ['link', 'set', bridgeName, 'up']);
            bridges.add(bridgeName);
          }
          inside(bridge, 'ip', ['link', 'set', port, 'master', bridgeName]);
        },
      };
    },
    close() {
      for (const child of children) child.kill('SIGKILL');
      for (const holder of holders) holder.kill('SIGKILL');
    },
  };
}
