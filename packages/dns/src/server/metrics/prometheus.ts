import { rcodeName } from '../../wire/types.ts';
import {
  type CountedEvent,
  countedRcodes,
  countedTypes,
  durationBounds,
  events,
  families,
  layout,
  sizeBounds,
  transports,
} from './counters.ts';

/** What the threads of a server counted, as Prometheus's text: CoreDNS's names, and ours where it has none. */
export function prometheusText(threads: readonly SharedArrayBuffer[], port: number): string {
  const cells = new Float64Array(layout.cells);
  for (const thread of threads) {
    const counted = new Float64Array(thread);
    for (let i = 0; i < cells.length; i++) cells[i] = (cells[i] as number) + (counted[i] as number);
  }
  const at = (cell: number): number => cells[cell] as number;
  const server = `server="dns://:${port}",zone="external",view=""`;
  const lines: string[] = [];
  const family = (name: string, type: string, help: string): void =>
    void lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  const histogram = (name: string, labels: string, base: number, bounds: readonly number[]): void => {
    let below = 0;
    bounds.forEach((bound, i) =>
      lines.push(`${name}_bucket{${labels},le="${bound}"} ${(below += at(base + i))}`),
    );
    below += at(base + bounds.length);
    lines.push(`${name}_bucket{${labels},le="+Inf"} ${below}`);
    lines.push(`${name}_sum{${labels}} ${at(base + bounds.length + 1)}`, `${name}_count{${labels}} ${below}`);
  };

  family('coredns_dns_requests_total', 'counter', 'Queries by transport, address family and type.');
  transports.forEach((transport, t) =>
    families.forEach((ip, f) =>
      countedTypes.forEach((type, i) => {
        const count = at(layout.requests + (t * families.length + f) * countedTypes.length + i);
        if (count > 0)
          lines.push(
            `coredns_dns_requests_total{${server},proto="${transport}",family="${ip}",type="${type}"} ${count}`,
          );
      }),
    ),
  );
  family('coredns_dns_responses_total', 'counter', 'Answers by response code.');
  for (let code = 0; code < countedRcodes; code++) {
    const count = at(layout.responses + code);
    if (count > 0 || code === 0)
      lines.push(
        `coredns_dns_responses_total{${server},rcode="${rcodeName(code)}",plugin="authoritative"} ${count}`,
      );
  }
  family('coredns_dns_request_duration_seconds', 'histogram', 'Time from reading a query to its answer.');
  histogram('coredns_dns_request_duration_seconds', server, layout.durations, durationBounds);
  for (const [name, base, help] of [
    ['coredns_dns_request_size_bytes', layout.requestSizes, 'Octets of queries.'],
    ['coredns_dns_response_size_bytes', layout.responseSizes, 'Octets of answers.'],
  ] as const) {
    family(name, 'histogram', help);
    transports.forEach((transport, t) =>
      histogram(name, `${server},proto="${transport}"`, base + t * layout.sizeCells, sizeBounds),
    );
  }
  for (const [name, help, counted] of eventFamilies) {
    family(name, 'counter', help);
    for (const [event, label] of counted) {
      const labels = label === undefined ? server : `${server},${label}`;
      lines.push(`${name}{${labels}} ${at(layout.events + events.indexOf(event))}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

type Counted = readonly [event: CountedEvent, label?: string];

const eventFamilies: ReadonlyArray<readonly [name: string, help: string, counted: readonly Counted[]]> = [
  ['coredns_dns_do_requests_total', 'Queries that want signatures.', [['dnssecOk']]],
  [
    'cloudless_dns_ready_answers_total',
    'Questions whose answer was ready, or had to be made.',
    yesOrNo('found', 'cacheHits', 'cacheMisses'),
  ],
  [
    'cloudless_dns_rate_limited_total',
    'Answers over the limit of their network.',
    [
      ['rateDropped', 'action="drop"'],
      ['rateTruncated', 'action="truncate"'],
    ],
  ],
  ['cloudless_dns_access_refused_total', 'Queries of those who may not ask.', [['accessRefused']]],
  [
    'cloudless_dns_cookies_total',
    'Queries with a cookie of ours, or with none yet.',
    [
      ['cookiesValid', 'state="valid"'],
      ['cookiesNew', 'state="new"'],
    ],
  ],
  ['cloudless_dns_malformed_total', 'Messages that are no DNS query.', [['malformed']]],
  ['cloudless_dns_ignored_total', 'Messages that get no answer: responses, stumps, port 0.', [['ignored']]],
  [
    'cloudless_dns_special_requests_total',
    'Transfers, updates, notifications, signed queries.',
    yesOrNo('taken', 'handedOver', 'handOverRefused'),
  ],
  ['cloudless_dns_send_failures_total', 'Answers that the kernel did not take.', [['sendFailed']]],
  [
    'cloudless_dns_connections_total',
    'Connections by TCP and TLS.',
    yesOrNo('taken', 'connections', 'connectionsRefused'),
  ],
];

function yesOrNo(label: string, yes: CountedEvent, no: CountedEvent): readonly Counted[] {
  return [
    [yes, `${label}="yes"`],
    [no, `${label}="no"`],
  ];
}
