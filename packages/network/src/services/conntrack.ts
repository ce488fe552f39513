import type { Logger } from '@cloudless/kube/logger';
import { ProgramError, runProgram } from '../run-program.ts';
import { frontendKey, type Frontend } from './model.ts';
import { reachable } from './elements.ts';
import { familyOf } from './ip.ts';
import type { StaleFlow } from './program.ts';

const familyName = (ip: string): string => (familyOf(ip) === 4 ? 'ipv4' : 'ipv6');

/** A UDP flow as `conntrack -L` prints it: where the client sent, and who answers. */
export interface UdpFlow {
  ip: string;
  port: number;
  endpointIp: string;
  endpointPort: number;
}

/** Reads the lines of `conntrack -L -p udp`; others are left out. */
export function parseFlows(text: string): UdpFlow[] {
  return text.split('\n').flatMap((line) => {
    const [sent, answered] = [...line.matchAll(/src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g)];
    if (!sent || !answered) return [];
    return [
      {
        ip: sent[2] as string,
        port: Number(sent[4]),
        endpointIp: answered[1] as string,
        endpointPort: Number(answered[3]),
      },
    ];
  });
}

/** Flows to a frontend that lead to none of its endpoints; flows to anything else are none of our business. */
export function staleFlowsOf(flows: readonly UdpFlow[], frontends: Iterable<Frontend>): StaleFlow[] {
  const byKey = new Map<string, Set<string>>();
  for (const frontend of frontends)
    if (frontend.protocol === 'udp')
      byKey.set(
        frontendKey(frontend),
        new Set(reachable(frontend).map((endpoint) => `${endpoint.ip}:${endpoint.port}`)),
      );
  const stale = new Map<string, StaleFlow>();
  for (const { ip, port, endpointIp, endpointPort } of flows) {
    const endpoints = byKey.get(frontendKey({ ip, protocol: 'udp', port }));
    const endpoint = `${endpointIp}:${endpointPort}`;
    if (endpoints && !endpoints.has(endpoint))
      stale.set(`${ip}:${port} ${endpoint}`, {
        ip,
        port,
        endpoint: { ip: endpointIp, port: endpointPort },
      });
  }
  return [...stale.values()];
}

/** Ends the kernel's memory of UDP flows that lead where nothing is; one program at a time. */
export class FlowCleaner {
  readonly #log: Logger;
  #work: Promise<void> = Promise.resolve();
  #missing = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Resolves when the flows are forgotten. Never rejects. */
  forget(flows: readonly StaleFlow[]): Promise<void> {
    for (const flow of flows) {
      const args = [
        '-D',
        '-f',
        familyName(flow.ip),
        '-p',
        'udp',
        '--orig-dst',
        flow.ip,
        '--orig-port-dst',
        String(flow.port),
      ];
      if (flow.endpoint)
        args.push('--reply-src', flow.endpoint.ip, '--reply-port-src', String(flow.endpoint.port));
      this.#work = this.#work.then(() => this.#run(args)).then(() => undefined);
    }
    return this.#work;
  }

  /** Forgets echo requests to these addresses: they were answered before and should not be now, or the reverse. Never rejects. */
  forgetEchoes(ips: readonly string[]): Promise<void> {
    const wanted = new Set(ips);
    for (const family of new Set(ips.map(familyName))) {
      const which = ['-f', family, '-p', family === 'ipv4' ? 'icmp' : 'icmpv6'];
      this.#work = this.#work.then(async () => {
        const flows = await this.#run(['-L', ...which]);
        const asked = new Set([...flows.matchAll(/^.*? dst=(\S+)/gm)].map(([, ip]) => ip as string));
        for (const ip of asked) if (wanted.has(ip)) await this.#run(['-D', ...which, '--orig-dst', ip]);
      });
    }
    return this.#work;
  }

  /** Forgets what became stale while no agent looked. Never rejects. */
  async reconcile(frontends: Iterable<Frontend>): Promise<void> {
    const wanted = [...frontends];
    const families = new Set(
      wanted.filter(({ protocol }) => protocol === 'udp').map(({ ip }) => familyName(ip)),
    );
    for (const family of families) {
      const text = await this.#run(['-L', '-f', family, '-p', 'udp']);
      await this.forget(staleFlowsOf(parseFlows(text), wanted));
    }
  }

  async #run(args: readonly string[]): Promise<string> {
    try {
      return await runProgram('conntrack', args);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      // conntrack ends with 1 when no flow matched.
      if (error instanceof ProgramError && /not installed/.test(message) && !this.#missing) {
        this.#missing = true;
        this.#log.warn(
          { err: message },
          'UDP clients of a Service may go on talking to endpoints that are gone',
        );
      } else this.#log.debug({ err: message }, 'no stale UDP flow');
      return '';
    }
  }
}
