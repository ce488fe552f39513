import { type PartContent, tableFamily, tableName } from '../nft/table.ts';
import type { Attachment, HostPort } from './attachments.ts';

const at = `${tableFamily} ${tableName}`;

/** One element of one of the maps or sets below. */
interface Element {
  holder: string;
  key: string;
  /** Absent in sets. */
  value?: string;
}

/** `tcp . 80` on every address, or `192.0.2.10 . tcp . 80`: two host ports with equal texts exclude each other. */
export function hostPortKey(port: HostPort): string {
  return `${port.hostIp === '' ? '' : `${port.hostIp} . `}${port.protocol} . ${port.hostPort}`;
}

/** The elements that a set of pods asks for. Where two ask for the same port, the later one has it. */
function elementsOf(attachments: Iterable<Attachment>): Map<string, Element> {
  const elements = new Map<string, Element>();
  const put = (element: Element): void => void elements.set(`${element.holder} ${element.key}`, element);
  for (const attachment of attachments) {
    if (attachment.hostPorts.length > 0)
      put({ holder: 'hostports-links', key: `"${attachment.hostInterface}"` });
    for (const port of attachment.hostPorts)
      put({
        holder: port.hostIp === '' ? 'hostports-any4' : 'hostports-at4',
        key: hostPortKey(port),
        value: `${attachment.ip} . ${port.containerPort}`,
      });
  }
  return elements;
}

const addition = ({ holder, key, value }: Element): string =>
  `add element ${at} ${holder} { ${key}${value === undefined ? '' : ` : ${value}`} }`;

/** The commands that lead from the host ports of some pods to those of others; '' when they are the same. */
export function hostPortChange(before: Iterable<Attachment>, after: Iterable<Attachment>): string {
  const [old, next] = [elementsOf(before), elementsOf(after)];
  const removed = [...old].filter(([id, element]) => next.get(id)?.value !== element.value || !next.has(id));
  const added = [...next].filter(([id, element]) => old.get(id)?.value !== element.value || !old.has(id));
  return [
    ...removed.map(([, { holder, key }]) => `delete element ${at} ${holder} { ${key} }`),
    ...added.map(([, element]) => addition(element)),
  ].join('\n');
}

/**
 * The table's content for host ports (upstream: the CNI plugin portmap). They answer on the node's own addresses only,
 * loopback included: there the node's address takes the place of 127.0.0.1, which must not leave the machine, and
 * a pod cannot use that way to reach what listens on loopback.
 */
export function hostPortContent(attachments: Iterable<Attachment>): PartContent {
  const translate = [
    'fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @hostports-at4',
    'fib daddr type local dnat ip to meta l4proto . th dport map @hostports-any4',
  ];
  return {
    part: 'hostports',
    declarations: `  map hostports-any4 { typeof meta l4proto . th dport : ip daddr . th dport; }
  map hostports-at4 { typeof ip daddr . meta l4proto . th dport : ip daddr . th dport; }
  set hostports-links { type ifname; }`,
    rules: {
      'hostports-guard': ['iifname @hostports-links ip daddr 127.0.0.0/8 drop'],
      'hostports-prerouting': translate,
      'hostports-output': translate,
      'hostports-postrouting': ['ct status dnat ip saddr 127.0.0.0/8 masquerade'],
    },
    elements: [...elementsOf(attachments).values()].map(addition),
  };
}
