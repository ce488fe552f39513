/** Takes and releases addresses and node ports of a Service with its own write (ARCHITECTURE.md, wall 5). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import { errors, StatusError } from '@cloudless/kube/status';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { Caches } from '../../../cache/cache.ts';
import type { Transaction } from '../../../storage/transaction.ts';
import type { StrategyContext } from '../../strategy.ts';
import { formatIp, type IpFamily, parseIp } from '../../validation/addresses.ts';
import { AddressBook, AddressError } from './address-book.ts';
import { keepsPreferredDualStack, setFamilies } from './families.ts';
import { nodePortsOf, PortBook, PortError } from './node-ports.ts';
import {
  isHeadless,
  mayHaveNodePorts,
  needsClusterIp,
  needsHealthCheck,
  specOf,
  wantsNodePorts,
} from './traits.ts';

interface Books {
  addresses: AddressBook;
  ports: PortBook;
  /** Services whose allocation ran a moment ago: a second run means that the first lost a race. */
  attempts: Map<string, number>;
}

const booksOfCaches = new WeakMap<Caches, Books>();

/** The books of one API server; they follow its caches. */
export function booksOf(caches: Caches): Books {
  let books = booksOfCaches.get(caches);
  if (!books) {
    books = { addresses: new AddressBook(caches), ports: new PortBook(caches), attempts: new Map() };
    booksOfCaches.set(caches, books);
  }
  return books;
}

const ipsPath = FieldPath.of('spec', 'clusterIPs');
const portsPath = FieldPath.of('spec', 'ports');
const attemptLapsesMs = 5_000;

const refuse = (service: Service, wrong: FieldError[]): StatusError =>
  errors.invalid({ group: '', kind: 'Service' }, service.metadata.name ?? '', wrong);

interface Allocation {
  books: Books;
  service: Service;
  old: Service | undefined;
  /** Undefined under dryRun. */
  transaction: Transaction | undefined;
  nowMs: number;
}

/** A second run within a moment: what the caches hold may be what made the first one fail. */
async function freshIfRetried(context: StrategyContext, books: Books, name: string): Promise<void> {
  const key = `${context.namespace}/${name}`;
  const untilMs = books.attempts.get(key) ?? 0;
  for (const [old, oldUntilMs] of books.attempts) {
    if (oldUntilMs > context.nowMs) break;
    books.attempts.delete(old);
  }
  books.attempts.delete(key);
  books.attempts.set(key, context.nowMs + attemptLapsesMs);
  if (untilMs > context.nowMs) await Promise.all([books.addresses.fresh(), books.ports.fresh()]);
}

async function takeAddress(allocation: Allocation, i: number): Promise<void> {
  const { books, service, transaction, nowMs } = allocation;
  const spec = specOf(service);
  const ips = (spec.clusterIPs ??= []);
  const asked = ips[i];
  try {
    if (asked) {
      await books.addresses.takeThis(asked, service, transaction, nowMs);
      return;
    }
    ips[i] = await books.addresses.takeAny(spec.ipFamilies?.[i] as IpFamily, service, transaction, nowMs);
    if (i === 0) spec.clusterIP = ips[0] as string;
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    if (asked)
      throw refuse(service, [
        fieldErrors.invalid(ipsPath, ips, `failed to allocate IP ${asked}: ${error.message}`),
      ]);
    throw errors.internal(`failed to allocate a serviceIP: ${error.message}`, error);
  }
}

const hasOwnAddresses = (service: Service | undefined): boolean =>
  service !== undefined && service.spec?.type !== 'ExternalName' && !isHeadless(service);

const canonical = (ip: string): string => {
  const parsed = parseIp(ip);
  return parsed ? formatIp(parsed) : ip;
};

/** Addresses that the Service has after the write and did not have before, and the other way round. */
async function changeAddresses(allocation: Allocation): Promise<void> {
  const { books, service, old, transaction } = allocation;
  const before = hasOwnAddresses(old) ? (old?.spec?.clusterIPs ?? []) : [];
  // A type that is none is refused later; nothing is taken for it.
  if (needsClusterIp(service) && hasOwnAddresses(service) && !keepsPreferredDualStack(service, old)) {
    for (const i of (service.spec?.ipFamilies ?? []).keys()) {
      const asked = service.spec?.clusterIPs?.[i];
      if (asked && before.map(canonical).includes(canonical(asked))) continue;
      // An address may not change once set; validation refuses that, so nothing is taken for it.
      if (asked && before[i] !== undefined) continue;
      await takeAddress(allocation, i);
    }
  }
  const now = hasOwnAddresses(service) ? (service.spec?.clusterIPs ?? []).map(canonical) : [];
  if (!transaction || !old) return;
  for (const ip of before)
    if (!now.includes(canonical(ip))) await books.addresses.release(ip, old, transaction);
}

const portProblem = (port: number, path: FieldPath, error: PortError): FieldError =>
  fieldErrors.invalid(path, port, error.message);

async function takePorts(allocation: Allocation, held: ReadonlySet<number>): Promise<void> {
  const { books, service, transaction, nowMs } = allocation;
  const taken = new Map<string, number>();
  const mine = new Set(held);
  for (const [i, port] of (service.spec?.ports ?? []).entries()) {
    try {
      if (!port.nodePort) {
        if (!wantsNodePorts(service)) continue;
        // TCP and UDP on one port number share one node port (DNS).
        const shared = taken.get(String(port.port));
        const sameProtocol = service.spec?.ports?.some(
          (other) => other.nodePort === shared && other.protocol === port.protocol,
        );
        port.nodePort =
          shared && !sameProtocol ? shared : await books.ports.takeAny(service, transaction, nowMs);
      } else if (!mine.has(port.nodePort))
        await books.ports.takeThis(port.nodePort, service, transaction, nowMs);
      mine.add(port.nodePort);
      taken.set(String(port.port), port.nodePort);
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      if (error.problem === 'full')
        throw errors.internal(`failed to allocate a nodePort: ${error.message}`, error);
      throw refuse(service, [portProblem(port.nodePort ?? 0, portsPath.index(i).child('nodePort'), error)]);
    }
  }
}

async function takeHealthCheckPort(allocation: Allocation, held: ReadonlySet<number>): Promise<void> {
  const { books, service, transaction, nowMs } = allocation;
  const spec = specOf(service);
  if (!needsHealthCheck(service)) return;
  try {
    if (!spec.healthCheckNodePort)
      spec.healthCheckNodePort = await books.ports.takeAny(service, transaction, nowMs);
    else if (!held.has(spec.healthCheckNodePort)) {
      await books.ports.takeThis(spec.healthCheckNodePort, service, transaction, nowMs);
    }
  } catch (error) {
    if (!(error instanceof PortError)) throw error;
    const text = `failed to allocate requested HealthCheck NodePort ${spec.healthCheckNodePort ?? 0}: ${error.message}`;
    throw errors.internal(text, error);
  }
}

async function changePorts(allocation: Allocation): Promise<void> {
  const { books, service, old, transaction } = allocation;
  const before = nodePortsOf(old);
  if (mayHaveNodePorts(service)) {
    await takePorts(allocation, before);
    await takeHealthCheckPort(allocation, before);
  }
  if (!transaction || !old) return;
  const now = nodePortsOf(service);
  for (const port of before) if (!now.has(port)) await books.ports.release(port, old, transaction);
}

async function releaseAll(books: Books, old: Service, transaction: Transaction): Promise<void> {
  if (hasOwnAddresses(old)) {
    for (const ip of old.spec?.clusterIPs ?? []) await books.addresses.release(ip, old, transaction);
  }
  for (const port of nodePortsOf(old)) await books.ports.release(port, old, transaction);
}

/** An update that takes the last finalizer from a Service under deletion removes it. */
const endsWithThis = (service: Service, old: Service | undefined): boolean =>
  Boolean(old?.metadata.deletionTimestamp) &&
  !old?.metadata.deletionGracePeriodSeconds &&
  !service.metadata.finalizers?.length;

/** The strategy's `allocate`. */
export async function allocateService(
  context: StrategyContext,
  change: { object: Service | undefined; old: Service | undefined; transaction: Transaction },
): Promise<void> {
  const { object, old } = change;
  if (context.subresource !== '') return;
  const books = booksOf(context.caches);
  await Promise.all([books.addresses.ready(), books.ports.ready()]);
  if (!context.dryRun) await freshIfRetried(context, books, (object ?? old)?.metadata.name ?? '');
  if (!object || endsWithThis(object, old)) {
    if (old) await releaseAll(books, old, change.transaction);
    return;
  }
  const wrong = setFamilies(object, old, books.addresses.families);
  if (wrong.length > 0) throw refuse(object, wrong);
  const transaction = context.dryRun ? undefined : change.transaction;
  const allocation: Allocation = { books, service: object, old, transaction, nowMs: context.nowMs };
  await changeAddresses(allocation);
  await changePorts(allocation);
}
