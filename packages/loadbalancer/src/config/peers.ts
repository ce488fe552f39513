import { durationMs } from '@cloudless/kube/duration';
import type { Secret } from '@cloudless/kube/types/core-v1';
import { addressOf } from '../speaker/address.ts';
import type { BfdProfile, BgpPeer } from './config.ts';
import type { BgpPeerObject } from './kinds.ts';
import type { Findings, Report } from './problem.ts';
import { labelMatches } from './selectors.ts';

/** RFC 4271, section 10, suggests 90 s and a third of it. */
const defaultHoldMs = 90_000;
/** Upstream leaves it to the BGP program; a lost session should be tried again soon. */
const defaultConnectSeconds = 10;
const highestAsn = 0xffff_ffff;

/** BGP peers by name. Passwords come from `secrets`, in the peer's namespace; `unread`: they are not asked for. */
export function parsePeers(
  objects: readonly BgpPeerObject[],
  profiles: ReadonlyMap<string, BfdProfile>,
  secrets: readonly Secret[] | 'unread',
  findings: Findings,
): ReadonlyMap<string, BgpPeer> {
  const peers = new Map<string, BgpPeer>();
  const sessions = new Map<string, Report>();
  for (const object of objects) {
    const report = findings.of('BGPPeer', object);
    // The definitions that MetalLB brings let this pass.
    if ((object as Partial<BgpPeerObject>).spec === undefined) {
      report.problem('spec', 'missing: a peer needs at least myASN, peerASN and peerAddress');
      continue;
    }
    const peer = parsePeer(object, profiles, secrets, report);
    if (peers.has(peer.name))
      report.problem(
        'metadata.name',
        `${peer.name} is the name of another BGPPeer already; names are for all namespaces`,
      );
    const session = [
      peer.peerAddress,
      peer.peerPort,
      peer.sourceAddress ?? '',
      JSON.stringify(object.spec.nodeSelectors ?? []),
    ].join(' ');
    const before = sessions.get(session);
    if (before)
      report.problem(
        'spec.peerAddress',
        `${peer.peerAddress} is the peer of ${before.text} already, for the same nodes`,
      );
    sessions.set(session, report);
    peers.set(peer.name, peer);
  }
  return peers;
}

function parsePeer(
  object: BgpPeerObject,
  profiles: ReadonlyMap<string, BfdProfile>,
  secrets: readonly Secret[] | 'unread',
  report: Report,
): BgpPeer {
  const { spec } = object;
  reportUnsupported(object, report);
  const asn = peerAsn(object, report);
  if (spec.ebgpMultiHop && asn === spec.myASN)
    report.problem('spec.ebgpMultiHop', `it is for external peers; here peerASN is myASN, ${spec.myASN}`);
  if (spec.bfdProfile && !profiles.has(spec.bfdProfile))
    report.problem('spec.bfdProfile', `there is no BFDProfile ${spec.bfdProfile}`);
  const port = spec.peerPort || 179;
  if (port < 1 || port > 65_535) report.problem('spec.peerPort', `${port} is not from 1 to 65535`);
  return {
    name: object.metadata.name ?? '',
    myAsn: ownAsn(object, report),
    peerAsn: asn,
    peerAddress: address(spec.peerAddress, 'peerAddress', report) ?? '',
    peerPort: port,
    sourceAddress: address(spec.sourceAddress, 'sourceAddress', report),
    ...parseTimers(object, report),
    routerId: routerId(spec.routerID, report),
    nodeSelectors: labelMatches(spec.nodeSelectors, 'spec.nodeSelectors', report),
    password: password(object, secrets, report),
    bfdProfile: spec.bfdProfile || undefined,
    enableGracefulRestart: spec.enableGracefulRestart ?? false,
    ebgpMultiHop: spec.ebgpMultiHop ?? false,
  };
}

function reportUnsupported({ spec }: BgpPeerObject, report: Report): void {
  const here = 'is not supported here; remove it, or run MetalLB’s speaker with FRR for this peer';
  if (spec.interface) report.problem('spec.interface', `a session by interface (unnumbered BGP) ${here}`);
  if (spec.vrf) report.problem('spec.vrf', `a session in a VRF ${here}`);
  if (spec.localASN) report.problem('spec.localASN', `another AS number for one peer ${here}`);
  if (!spec.peerAddress && !spec.interface)
    report.problem('spec.peerAddress', 'missing; it is the address to connect to');
}

const isAsn = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= highestAsn;

function ownAsn({ spec }: BgpPeerObject, report: Report): number {
  if (!isAsn(spec.myASN)) report.problem('spec.myASN', `${spec.myASN} is not from 1 to ${highestAsn}`);
  return spec.myASN;
}

function peerAsn({ spec }: BgpPeerObject, report: Report): BgpPeer['peerAsn'] {
  if (spec.dynamicASN) {
    if (spec.peerASN) report.problem('spec.peerASN', 'only one of peerASN and dynamicASN may be set');
    if (spec.dynamicASN !== 'internal' && spec.dynamicASN !== 'external')
      report.problem('spec.dynamicASN', `"${String(spec.dynamicASN)}" is neither internal nor external`);
    return spec.dynamicASN;
  }
  const asn = spec.peerASN ?? 0;
  if (asn === 0) report.problem('spec.peerASN', 'one of peerASN and dynamicASN must be set');
  else if (!isAsn(asn)) report.problem('spec.peerASN', `${asn} is not from 1 to ${highestAsn}`);
  return asn;
}

function address(text: string | undefined, field: string, report: Report): string | undefined {
  if (!text) return undefined;
  const parsed = addressOf(text);
  if (!parsed) report.problem(`spec.${field}`, `"${text}" is no IP address`);
  return parsed?.text;
}

function routerId(text: string | undefined, report: Report): string | undefined {
  const id = address(text, 'routerID', report);
  if (id?.includes(':')) report.problem('spec.routerID', `"${id}" is no IPv4 address`);
  return id;
}

function parseTimers(
  { spec }: BgpPeerObject,
  report: Report,
): Pick<BgpPeer, 'holdTimeSeconds' | 'keepaliveTimeSeconds' | 'connectTimeSeconds'> {
  const read = (field: 'holdTime' | 'keepaliveTime' | 'connectTime'): number | undefined => {
    const text = spec[field];
    if (!text) return undefined;
    const ms = durationMs(text);
    if (ms === undefined)
      report.problem(`spec.${field}`, `"${text}" is no duration; write it as 90s or 1m30s`);
    return ms;
  };
  let holdMs = read('holdTime');
  let keepaliveMs = read('keepaliveTime');
  // BGPPeers that were written as v1beta1 have 0s for what was not set (upstream: api/v1beta1, ConvertTo).
  if (keepaliveMs === 0 && holdMs !== 0) keepaliveMs = undefined;
  holdMs ??= keepaliveMs === undefined ? defaultHoldMs : keepaliveMs * 3;
  keepaliveMs ??= holdMs / 3;
  const holdTimeSeconds = Math.floor(holdMs / 1000);
  if (holdTimeSeconds !== 0 && holdTimeSeconds < 3)
    report.problem('spec.holdTime', `${holdTimeSeconds} s is too short; it must be 0s or at least 3s`);
  if (holdTimeSeconds > 65_535)
    report.problem('spec.holdTime', `${holdTimeSeconds} s is longer than 65535 s`);
  if (keepaliveMs > holdMs)
    report.problem(
      'spec.keepaliveTime',
      `${keepaliveMs / 1000} s is longer than holdTime, ${holdTimeSeconds} s`,
    );
  const connectTimeSeconds = (read('connectTime') ?? defaultConnectSeconds * 1000) / 1000;
  if (connectTimeSeconds < 1 || connectTimeSeconds > 65_535 || !Number.isInteger(connectTimeSeconds))
    report.problem(
      'spec.connectTime',
      `${connectTimeSeconds} s is not a whole number of seconds from 1 to 65535`,
    );
  return {
    holdTimeSeconds,
    keepaliveTimeSeconds: keepaliveMs === 0 ? 0 : Math.max(1, Math.floor(keepaliveMs / 1000)),
    connectTimeSeconds,
  };
}

/** The password is never part of what is reported. */
function password(
  object: BgpPeerObject,
  secrets: readonly Secret[] | 'unread',
  report: Report,
): string | undefined {
  const { spec, metadata } = object;
  const name = spec.passwordSecret?.name;
  if (!name) return spec.password || undefined;
  if (spec.password) {
    report.problem('spec.passwordSecret', 'only one of password and passwordSecret may be set');
    return undefined;
  }
  if (secrets === 'unread') return undefined;
  const at = `Secret ${metadata.namespace ?? ''}/${name}`;
  const secret = secrets.find(
    (one) => one.metadata.name === name && one.metadata.namespace === metadata.namespace,
  );
  const encoded = secret?.data?.['password'];
  if (!secret)
    report.problem(
      'spec.passwordSecret',
      `there is no ${at} of type kubernetes.io/basic-auth that may be read`,
    );
  else if (secret.type !== 'kubernetes.io/basic-auth')
    report.problem(
      'spec.passwordSecret',
      `${at} is of type ${secret.type ?? 'Opaque'}; it must be of type kubernetes.io/basic-auth`,
    );
  else if (encoded === undefined) report.problem('spec.passwordSecret', `${at} has no key "password"`);
  else return Buffer.from(encoded, 'base64').toString('utf8');
  return undefined;
}
