import type { TableKeeper } from '../nft/keeper.ts';
import { type PartContent, tableFamily, tableName } from '../nft/table.ts';
import { endpointKey } from './endpoints.ts';
import { type EndpointAddress, frontendKey, type ServiceProtocol } from './model.ts';
import type { ServiceChange, ServiceProgram } from './program.ts';

/** A client that the kernel remembers, by `sessionAffinity: ClientIP`. IPv4 only (see rules.ts). */
export interface RememberedClient {
  client: string;
  ip: string;
  protocol: ServiceProtocol;
  port: number;
  endpoint: EndpointAddress;
  timeoutSeconds: number;
  expiresSeconds: number;
}

const at = `${tableFamily} ${tableName}`;
const clientsMap = 'services-clients4';
const transports = new Set<unknown>(['tcp', 'udp', 'sctp']);

/** Reads what `nft -j list map` prints of a map of clients (libnftables-json(5)); anything else is left out. */
export function parseClients(listing: readonly unknown[]): RememberedClient[] {
  const map = listing.map((item) => (item as { map?: { elem?: unknown[] } }).map).find(Boolean);
  return (map?.elem ?? []).flatMap((pair) => {
    const [key, value] = pair as [
      { elem?: { val?: { concat?: unknown[] }; timeout?: number; expires?: number } },
      { concat?: unknown[] },
    ];
    const [client, ip, protocol, port] = key.elem?.val?.concat ?? [];
    const [endpointIp, endpointPort] = value.concat ?? [];
    if (!transports.has(protocol) || typeof port !== 'number' || typeof endpointPort !== 'number') return [];
    return [
      {
        client: String(client),
        ip: String(ip),
        protocol: protocol as ServiceProtocol,
        port,
        endpoint: { ip: String(endpointIp), port: endpointPort },
        // The map's own timeout is not printed with its elements.
        timeoutSeconds: key.elem?.timeout ?? 10_800,
        expiresSeconds: key.elem?.expires ?? 0,
      },
    ];
  });
}

const keyOf = ({ client, ip, protocol, port }: RememberedClient): string =>
  `${client} . ${ip} . ${protocol} . ${port}`;

/** The commands that make a new table remember these clients, as long as the old one would have. */
export function remembering(clients: readonly RememberedClient[], program: ServiceProgram): string[] {
  return clients
    .filter((one) => one.expiresSeconds > 0 && program.isSticky(frontendKey(one), one.endpoint))
    .map(
      (one) =>
        `add element ${at} ${clientsMap} { ${keyOf(one)} timeout ${one.timeoutSeconds}s expires ${one.expiresSeconds}s : ${endpointKey(one.endpoint)} }`,
    );
}

/** The commands that forget clients whose endpoint is gone, or who were sent by rules that no longer hold. */
export function forgetting(
  clients: readonly RememberedClient[],
  stale: ServiceChange['staleClients'],
  program: ServiceProgram,
): string[] {
  return clients
    .filter((one) => {
      const which = stale.get(frontendKey(one));
      return which === 'all' || (which === 'some' && !program.isSticky(frontendKey(one), one.endpoint));
    })
    .map((one) => `delete element ${at} ${clientsMap} { ${keyOf(one)} }`);
}

/** The part of the kernel's table that this needs. */
type Table = Pick<TableKeeper, 'attempt' | 'listMap'>;

function readClients(table: Pick<TableKeeper, 'listMap'>): RememberedClient[] {
  return parseClients(table.listMap(clientsMap));
}

/** Forgets clients in the kernel after a change. An entry may lapse while it is read: the others go all the same. */
export function forgetClients(
  table: Table,
  stale: ServiceChange['staleClients'],
  program: ServiceProgram,
): void {
  const commands = forgetting(readClients(table), stale, program);
  if (commands.length === 0 || table.attempt('services', commands.join('\n'))) return;
  for (const command of commands) table.attempt('services', command);
}

/** The table's content with the clients that the kernel remembers now, so that a new table goes on with them. */
export function contentWithClients(
  table: Pick<TableKeeper, 'listMap'>,
  program: ServiceProgram,
): PartContent {
  const content = program.content();
  for (const { affinitySeconds } of program.frontends())
    if (affinitySeconds !== undefined)
      return { ...content, elements: [...content.elements, ...remembering(readClients(table), program)] };
  return content;
}
