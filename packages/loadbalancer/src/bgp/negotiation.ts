import { BgpError, errorCode } from './wire/notification.ts';
import { type Capabilities, type Open, asTrans, encodeOpen, identifierText } from './wire/open.ts';
import type { Family } from './wire/prefix.ts';

/** What a session says of itself in its OPEN, and what it wants of the peer. */
export interface Speaker {
  readonly localAsn: number;
  /** A number, or whether it must be ours or another one (dynamicASN). */
  readonly peerAsn: number | 'internal' | 'external';
  /** 0: neither side watches. */
  readonly holdTimeSeconds: number;
  readonly keepaliveTimeSeconds: number;
  /** Graceful restart (RFC 4724); undefined: not offered. */
  readonly restart: RestartOffer | undefined;
}

export interface RestartOffer {
  /** How long the peer keeps the routes of a speaker that is away; 0 to 4095. */
  readonly timeSeconds: number;
  /** Packets were forwarded while no speaker ran. */
  readonly forwarding: boolean;
}

/** What both OPENs together settle. */
export interface Negotiated {
  readonly peerAsn: number;
  readonly peerIdentifier: number;
  readonly internal: boolean;
  /** 0: no hold timer and no KEEPALIVEs. */
  readonly holdTimeSeconds: number;
  readonly keepaliveSeconds: number;
  readonly families: readonly Family[];
  readonly fourOctetAsn: boolean;
  /** IPv4 routes may have an IPv6 next hop (RFC 8950). */
  readonly ipv4OverIpv6: boolean;
  /** Both sides know graceful restart: the peer keeps the routes of a speaker that went without a NOTIFICATION. */
  readonly gracefulRestart: boolean;
  /** The peer wants to know when all routes have been told. */
  readonly endOfRib: boolean;
}

const families: readonly Family[] = ['ipv4', 'ipv6'];

/**
 * Our OPEN. `plain`: without capabilities, for a peer that knows none. `restarted`: no session of this process has been
 * established yet; the peer then sends without waiting for our End-of-RIB (the R bit of RFC 4724).
 */
export function ourOpen(
  speaker: Speaker,
  identifier: number,
  how: { plain: boolean; restarted: boolean },
): Buffer {
  const { restart } = speaker;
  const capabilities: Capabilities = {
    families,
    routeRefresh: true,
    ipv4OverIpv6: true,
    fourOctetAsn: speaker.localAsn,
    gracefulRestart: restart && {
      restarted: how.restarted,
      restartTimeSeconds: restart.timeSeconds,
      families: families.map((family) => ({ family, forwarding: restart.forwarding })),
    },
  };
  return encodeOpen({
    shortAsn: speaker.localAsn > 0xffff ? asTrans : speaker.localAsn,
    holdTimeSeconds: speaker.holdTimeSeconds,
    identifier,
    capabilities: how.plain ? undefined : capabilities,
  });
}

/**
 * Checks a peer's OPEN against what is wanted of it (RFC 4271 section 6.2) and settles the session. Throws
 * {@link BgpError}. `identifier`: our own.
 */
export function negotiate(open: Open, speaker: Speaker, identifier: number): Negotiated {
  const { capabilities } = open;
  const peerAsn = capabilities?.fourOctetAsn ?? open.shortAsn;
  checkAsn(peerAsn, speaker);
  const internal = peerAsn === speaker.localAsn;
  // RFC 6286: an identifier need be unique within an AS only.
  if (internal && open.identifier === identifier)
    throw new BgpError(errorCode.open, 3, undefined, `${identifierText(identifier)} is our own`);
  const fourOctetAsn = capabilities?.fourOctetAsn !== undefined;
  const holdTimeSeconds = Math.min(open.holdTimeSeconds, speaker.holdTimeSeconds);
  return {
    peerAsn,
    peerIdentifier: open.identifier,
    internal,
    holdTimeSeconds,
    keepaliveSeconds: Math.min(speaker.keepaliveTimeSeconds || Infinity, holdTimeSeconds / 3),
    families: families.filter((family) => (capabilities?.families ?? ['ipv4']).includes(family)),
    fourOctetAsn,
    ipv4OverIpv6: capabilities?.ipv4OverIpv6 === true,
    gracefulRestart: speaker.restart !== undefined && capabilities?.gracefulRestart !== undefined,
    endOfRib: capabilities?.gracefulRestart !== undefined,
  };
}

function checkAsn(peerAsn: number, speaker: Speaker): void {
  const wanted = speaker.peerAsn;
  const right =
    peerAsn !== 0 &&
    (wanted === 'internal'
      ? peerAsn === speaker.localAsn
      : wanted === 'external'
        ? peerAsn !== speaker.localAsn
        : peerAsn === wanted);
  if (right) return;
  const text =
    typeof wanted === 'number'
      ? `the configuration wants ${wanted}`
      : `the configuration wants an ${wanted} one and ours is ${speaker.localAsn}`;
  throw new BgpError(errorCode.open, 2, undefined, `the peer is AS ${peerAsn}, ${text}`);
}
