import { systemClock } from '@cloudless/kube/clock';
import { eventRecorder } from '@cloudless/kube/events/recorder';
import { serveHealth } from '@cloudless/kube/health';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { everybody, startDnsServer, unlimited } from '../server/server.ts';
import { startNotifier } from '../transfer/notifier.ts';
import { createRequestHandler } from '../transfer/request-handler.ts';
import { startSecondaries } from '../transfer/secondaries.ts';
import type { PowerDnsApi, PowerDnsApiOptions } from '../powerdns/api.ts';
import { engineSwitch } from '../powerdns/engine-switch.ts';
import { lowerName, parseName } from '../wire/name.ts';
import { ZoneRegistry } from '../zone/registry.ts';
import type { ExternalDnsConfig } from './config.ts';
import { type Content, startContent } from './content.ts';
import type {
  ExternalDns,
  ExternalDnsOptions,
  ExternalDnsStatus,
  ServedRecords,
  WhyAnswer,
} from './external-dns.ts';
import { endpointKeeper } from './keeper.ts';
import { contentMetrics } from './metrics.ts';
import { queryLog } from './query-log.ts';
import { statusOf } from './status.ts';
import { makersIn, servedRecords, whyOf } from './why.ts';

export type * from './external-dns.ts';

/** PowerDNS's HTTP API, loaded where a port is given. */
async function startApi(
  options: ExternalDnsOptions,
  subject: Omit<PowerDnsApiOptions, 'addresses' | 'port' | 'tls' | 'version'>,
): Promise<PowerDnsApi | undefined> {
  const { apiPort: port, apiAddresses: addresses = ['127.0.0.1'], apiTls: tls } = options;
  if (port === undefined) return undefined;
  const { startPowerDnsApi } = await import('../powerdns/api.ts');
  const version = options.identity?.version ?? 'cloudless';
  return startPowerDnsApi({ ...subject, addresses, port, tls, version });
}

const ownNamespace = 'cloudless-dns';

/**
 * Starts the authoritative DNS: zones by their texts and by what objects of a cluster ask for; served, transferred, told of
 * and changed. It answers SERVFAIL until {@link ExternalDns.ready}, and goes on from what it knows when the API is away.
 * Rejects when an address or port cannot be bound.
 */
export async function startExternalDns(options: ExternalDnsOptions): Promise<ExternalDns> {
  const parts: Running[] = [];
  try {
    return await startParts(options, parts);
  } catch (error) {
    await stopAll(parts);
    throw error;
  }
}

async function stopAll(parts: Running[]): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- in reverse order, each when the one before has ended
  for (const part of parts.splice(0).reverse()) await part.stop();
}

/** Until the first configuration nobody is named, and nothing is answered but that the server is not ready. */
const noConfig: Pick<
  ExternalDnsConfig,
  'transfers' | 'updates' | 'tsigKeys' | 'secondaries' | 'access' | 'rateLimit'
> = {
  transfers: { allow: [], notify: [] },
  updates: { allow: [] },
  tsigKeys: [],
  secondaries: new Map(),
  access: everybody,
  rateLimit: unlimited,
};

async function startParts(options: ExternalDnsOptions, parts: Running[]): Promise<ExternalDns> {
  const { client, log, namespace = ownNamespace, clock = systemClock } = options;
  const add = <P extends Running>(part: P): P => {
    parts.push(part);
    return part;
  };
  const zones = new ZoneRegistry();
  const events = client && add(eventRecorder({ client, component: 'cloudless-dns', log, clock }));
  const reloads = new Set<(config: ExternalDnsConfig) => void>();
  const content: Content = add(
    startContent({
      client,
      config: options.config,
      namespace,
      zones,
      keysFolder: options.keysFolder,
      events,
      // The first one may come before there is anything to tell it.
      onConfig: (fresh) => {
        for (const reload of reloads) reload(fresh);
      },
      log,
      clock,
    }),
  );
  const config = (): typeof noConfig => content.config ?? noConfig;
  const secondaries = add(startSecondaries({ zones, config, log, clock }));
  const keeper = endpointKeeper({
    client,
    namespace,
    zones,
    objects: content.servedObjects,
    threadsSettled: () => server.settled(),
    clock,
    ownersOf: (name, type) => makersIn(content.composer, name, type),
  });
  const onRequest = createRequestHandler({
    zones,
    config,
    keeper,
    notified: (origin, from) => secondaries.notified(origin, from),
    signZone: (served) => content.signing?.signZone(served) ?? served.zone,
    signerOf: (served) => content.signing?.signerOf(served),
    log,
    clock,
  });
  const server = add(
    await startDnsServer({
      addresses: options.addresses,
      port: options.port,
      tls: options.tls,
      threads: options.threads,
      access: config().access,
      rateLimit: config().rateLimit,
      zones,
      onRequest,
      isReady: false,
      identity: options.identity,
      log,
      clock,
    }),
  );
  let isReady = false;
  const ready = content.publisher.ready.then(async () => {
    await zones.settled();
    server.setReady(true);
    await server.settled();
    isReady = true;
  });
  ready.catch(() => {});
  // A secondary that is told asks at once: what it is told of has to be answered by then.
  const settled = async (): Promise<void> => {
    await ready;
    await server.settled();
  };
  const notifier = add(startNotifier({ zones, config, settled, log, clock }));
  reloads.add(({ access, rateLimit }) => {
    server.setLimits(access, rateLimit);
    secondaries.reload();
    notifier.reload();
  });
  if (content.config) for (const reload of reloads) reload(content.config);
  const api = await startApi(options, {
    zones,
    keeper,
    // Before the first sync there are no zones to show, and a client would take them for deleted.
    key: () => (content.publisher.isReady ? content.config?.api?.key : undefined),
    notify: (origin) => notifier.tellAgain(origin),
    log,
  });
  if (api) add(api);
  const engine = add(engineSwitch({ zones, ready, log, clock }));
  reloads.add((fresh) => engine.use(fresh.engine));
  if (content.config) engine.use(content.config.engine);
  const registry = contentMetrics(content, zones);
  const metrics = async (): Promise<string> => `${await registry.metrics()}\n${server.metrics()}`;
  const status = (): ExternalDnsStatus => {
    const whole = statusOf({ content, zones, secondaries: secondaries.status(), isReady });
    if (engine.problem === undefined) return whole;
    const problem = { severity: 'error' as const, place: undefined, message: engine.problem };
    return { ...whole, problems: [...whole.problems, problem] };
  };
  const why = (name: string): WhyAnswer => whyOf(name, content.composer, zones);
  const records = (origin?: string): ServedRecords[] => {
    const wanted = origin === undefined ? zones.all.values() : [zones.all.get(lowerName(parseName(origin)))];
    return [...wanted].flatMap((served) => (served ? [...servedRecords(served, content.composer)] : []));
  };
  if (options.healthPort !== undefined)
    add(
      await serveHealth({
        port: options.healthPort,
        host: options.healthAddress,
        isReady: () => isReady,
        notReady: content.publisher.waitingFor ?? 'the first sync is not done',
        metrics: [metrics],
        pages: {
          '/status': status,
          '/records': (query) => records(query.get('zone') ?? undefined),
          '/why': (query) => why(query.get('name') ?? ''),
        },
        streams: { '/queries': queryLog(server) },
      }),
    );
  return {
    ready,
    get isReady() {
      return isReady;
    },
    zones,
    keeper,
    ports: { dns: server.port, tls: server.tlsPort, health: options.healthPort, api: api?.port },
    why,
    records,
    status,
    metrics,
    ...running(() => stopAll(parts)),
  };
}
