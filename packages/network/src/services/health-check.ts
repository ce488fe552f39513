import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { HealthCheck } from './model.ts';

/** A port that could not be opened is tried again this often. */
const retryMs = 10_000;

/** What a load balancer is answered (upstream: pkg/proxy/healthcheck/service_health.go). */
export function healthAnswer(
  owner: string,
  localEndpoints: number,
  proxyHealthy: boolean,
): { status: 200 | 503; headers: Record<string, string>; body: string } {
  const [namespace = '', name = ''] = owner.split('/');
  const answer = { service: { namespace, name }, localEndpoints, serviceProxyHealthy: proxyHealthy };
  return {
    status: localEndpoints > 0 && proxyHealthy ? 200 : 503,
    headers: {
      'Content-Type': 'application/json',
      'X-Content-Type-Options': 'nosniff',
      'X-Load-Balancing-Endpoint-Weight': String(localEndpoints),
    },
    body: JSON.stringify(answer, undefined, '\t'),
  };
}

export interface HealthChecks extends Running {
  /** Opens, changes or (undefined) closes the health check of the Service `namespace/name`. Returns at once. */
  set(owner: string, check: HealthCheck | undefined): void;
  /** Changes the addresses that all listen on. */
  listenOn(addresses: readonly string[]): void;
  /** Resolves when what was asked for so far is open or has failed. */
  settled(): Promise<void>;
}

interface Open {
  /** Changes with the port or the addresses. */
  place: string;
  servers: Server[];
}

/**
 * The `healthCheckNodePort`s of this node: a port for each Service that asks for one, answering 200 while the node has ready
 * endpoints. A port that is taken is reported and tried again; the others go on.
 */
export function startHealthChecks(options: {
  addresses: readonly string[];
  /** Whether the kernel has what the Services ask for. */
  isHealthy(): boolean;
  /** Told once for each Service and reason. */
  onFailure(owner: string, message: string): void;
  clock: Clock;
  log: Logger;
}): HealthChecks {
  const { clock, log } = options;
  const wanted = new Map<string, HealthCheck>();
  const open = new Map<string, Open>();
  const failures = new Map<string, string>();
  let addresses = options.addresses;
  let work: Promise<void> = Promise.resolve();
  let retry: ClockTimer | undefined;
  let ended = false;

  const close = async (owner: string): Promise<void> => {
    const { servers } = open.get(owner) ?? { servers: [] };
    open.delete(owner);
    for (const server of servers) {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    }
  };
  const serve = async (owner: string, port: number, place: string): Promise<void> => {
    const servers: Server[] = [];
    open.set(owner, { place, servers });
    for (const host of addresses) {
      const server = createServer((request, response) => {
        const { localEndpoints = 0 } = wanted.get(owner) ?? {};
        const { status, headers, body } = healthAnswer(owner, localEndpoints, options.isHealthy());
        request.resume();
        response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
      });
      // oxlint-disable-next-line no-await-in-loop -- one that fails ends the rest
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host, ipv6Only: host.includes(':') }, () => {
          server.off('error', reject);
          server.on('error', (error) =>
            log.warn({ owner, err: String(error) }, 'a health check port failed'),
          );
          servers.push(server);
          resolve();
        });
      });
    }
  };
  const settle = async (owner: string): Promise<void> => {
    const check = wanted.get(owner);
    const place = check && !ended ? `${check.port} ${addresses.join(' ')}` : undefined;
    if (open.get(owner)?.place === place) return;
    await close(owner);
    if (check === undefined || place === undefined) return void failures.delete(owner);
    try {
      await serve(owner, check.port, place);
      failures.delete(owner);
    } catch (error) {
      await close(owner);
      const reason = error instanceof Error ? error.message : String(error);
      if (failures.get(owner) !== reason) options.onFailure(owner, `port ${check.port}: ${reason}`);
      failures.set(owner, reason);
      retry ??= clock.setTimeout(() => {
        retry = undefined;
        for (const failed of failures.keys()) queue(failed);
      }, retryMs);
    }
  };
  const queue = (owner: string): void => {
    work = work.then(() => settle(owner));
  };
  return {
    set(owner, check) {
      const before = wanted.get(owner);
      if (check) wanted.set(owner, check);
      else wanted.delete(owner);
      if (before?.port !== check?.port) queue(owner);
    },
    listenOn(next) {
      if (next.join(' ') === addresses.join(' ')) return;
      addresses = next;
      for (const owner of wanted.keys()) queue(owner);
    },
    settled: () => work,
    ...running(async () => {
      ended = true;
      retry?.cancel();
      for (const owner of [...wanted.keys(), ...open.keys()]) queue(owner);
      await work;
      retry?.cancel();
    }),
  };
}
