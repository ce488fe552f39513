import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type Namespace, newNamespace } from '../../packages/network/src/testing/namespaces.ts';
import { findPeer } from '../../packages/kube/src/testing/peers.ts';

/** An Ethernet segment: a bridge in a namespace of its own, and a cable to each machine on it. */
export class Segment {
  readonly #switch: Namespace;
  #ports = 0;

  private constructor(bridge: Namespace) {
    this.#switch = bridge;
  }

  static async make(): Promise<Segment> {
    const bridge = await newNamespace();
    bridge.run('ip', 'link', 'add', 'segment', 'type', 'bridge');
    bridge.run('ip', 'link', 'set', 'segment', 'up');
    return new Segment(bridge);
  }

  /**
   * A cable from `machine` (undefined: this process's namespace) to the switch, its end there called `uplink`, with these
   * addresses and a default route, as every machine has one. Returns the interface's MAC address.
   */
  connect(machine: Namespace | undefined, ...addresses: string[]): string {
    const inside = (program: string, ...args: string[]): string =>
      machine ? machine.run(program, ...args) : execFileSync(program, args, { encoding: 'utf8' });
    const port = `port${this.#ports++}`;
    const pid = String(machine?.pid ?? process.pid);
    this.#switch.run('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', pid);
    this.#switch.run('ip', 'link', 'set', port, 'master', 'segment', 'up');
    inside('ip', 'link', 'set', 'lo', 'up');
    for (const address of addresses) inside('ip', 'addr', 'add', address, 'dev', 'uplink');
    inside('ip', 'link', 'set', 'uplink', 'up');
    inside('ip', 'route', 'add', 'default', 'dev', 'uplink');
    const links = JSON.parse(inside('ip', '-j', 'link', 'show', 'uplink')) as Array<{ address: string }>;
    return links[0]?.address ?? '';
  }

  close(): void {
    this.#switch.close();
  }
}

/** MAC addresses that answer for an IPv4 address, as a machine on the segment hears them; empty: nobody within the time. */
export function arpAnswers(client: Namespace, address: string, requests = 2): string[] {
  const arping = findPeer('arping');
  if (!arping) throw new Error('no arping here: run scripts/setup --test as root');
  let text: string;
  try {
    text = execFileSync(
      'nsenter',
      [`--net=${client.path}`, arping.program, '-C', String(requests), '-w', '1', '-I', 'uplink', address],
      { encoding: 'utf8', env: arping.env, timeout: 20_000, stdio: ['ignore', 'pipe', 'pipe'] },
    );
  } catch (error) {
    text = (error as { stdout?: string }).stdout ?? '';
  }
  return [...new Set(text.match(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g) ?? [])].sort();
}

/** As a program in another network namespace: a line to the server, and what comes back. */
const asker = `
const [protocol, address, port] = process.argv.slice(1);
const tell = (data) => { process.stdout.write(data); process.exit(0); };
const fail = (error) => { process.stderr.write(String(error)); process.exit(1); };
setTimeout(fail, 3000, 'no answer within 3 s');
if (protocol === 'tcp')
  require('net').connect(Number(port), address, function () { this.write('hello\\n'); }).on('data', tell).on('error', fail);
else
  require('dgram').createSocket('udp4').on('message', tell).on('error', fail).send('hello\\n', Number(port), address);
`;

/** One line from a server by TCP or UDP, as a program in `client` gets it. Throws when there is none in time. */
export function ask(client: Namespace, protocol: 'tcp' | 'udp', address: string, port: number): string {
  return client.run(process.execPath, '-e', asker, protocol, address, String(port)).trim();
}

/** The talk's YAML. */
export const talk = (file: string): string =>
  readFileSync(new URL(`../talk/${file}`, import.meta.url), 'utf8');
