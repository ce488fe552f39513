import type { ParsedRequest } from '../request/parse.ts';

/** Upper bounds of upstream's request duration histogram, seconds (apiserver/pkg/endpoints/metrics). */
const boundsSeconds = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];

const maxSeries = 4_096;

interface Series {
  readonly labels: string;
  readonly codes: Map<number, number>;
  readonly buckets: Float64Array;
  count: number;
  sumSeconds: number;
}

const scopeOf = (info: ParsedRequest): string => {
  if (info.name !== '') return 'resource';
  return info.namespace !== '' ? 'namespace' : 'cluster';
};
const quoted = (text: string): string => text.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));

/** Counts and times requests under upstream's names; an observation is a map lookup and a few additions. */
export class RequestMetrics {
  readonly #series = new Map<string, Series>();
  /** Takes what is beyond the bound: paths are the clients' to invent. */
  readonly #other: Series = newSeries(undefined, 'OTHER');

  observe(info: ParsedRequest | undefined, method: string, code: number, durationMs: number): void {
    const key = info?.isResource
      ? `${info.verb} ${info.group}/${info.version}/${info.resource}/${info.subresource} ${scopeOf(info)}`
      : `${method} path`;
    let series = this.#series.get(key) ?? (this.#series.size >= maxSeries ? this.#other : undefined);
    if (!series) this.#series.set(key, (series = newSeries(info, method)));
    series.codes.set(code, (series.codes.get(code) ?? 0) + 1);
    // Long-running requests would only fill the last bucket.
    if (info?.verb === 'watch') return;
    const seconds = durationMs / 1_000;
    series.count++;
    series.sumSeconds += seconds;
    for (let i = 0; i < boundsSeconds.length; i++) {
      if (seconds <= (boundsSeconds[i] as number)) {
        series.buckets[i] = (series.buckets[i] as number) + 1;
        break;
      }
    }
  }

  /** Prometheus text. */
  text(): string {
    const lines = [
      '# HELP apiserver_request_total Requests by verb, resource, scope and HTTP response code.',
      '# TYPE apiserver_request_total counter',
    ];
    for (const { labels, codes } of this.#series.values()) {
      for (const [code, count] of codes)
        lines.push(`apiserver_request_total{code="${code}",${labels}} ${count}`);
    }
    lines.push(
      '# HELP apiserver_request_duration_seconds Time from the first byte of a request to the last of its response.',
      '# TYPE apiserver_request_duration_seconds histogram',
    );
    for (const { labels, buckets, count, sumSeconds } of this.#series.values()) {
      if (count === 0) continue;
      let below = 0;
      for (const [i, bound] of boundsSeconds.entries()) {
        below += buckets[i] as number;
        lines.push(`apiserver_request_duration_seconds_bucket{${labels},le="${bound}"} ${below}`);
      }
      lines.push(
        `apiserver_request_duration_seconds_bucket{${labels},le="+Inf"} ${count}`,
        `apiserver_request_duration_seconds_sum{${labels}} ${sumSeconds}`,
        `apiserver_request_duration_seconds_count{${labels}} ${count}`,
      );
    }
    return `${lines.join('\n')}\n`;
  }
}

function newSeries(info: ParsedRequest | undefined, method: string): Series {
  const { group = '', version = '', resource = '', subresource = '' } = info?.isResource ? info : {};
  const verb = info?.isResource ? info.verb.toUpperCase() : method;
  const scope = info?.isResource ? scopeOf(info) : '';
  const labels = Object.entries({
    component: 'apiserver',
    group,
    resource,
    scope,
    subresource,
    verb,
    version,
  })
    .map(([name, value]) => `${name}="${quoted(value)}"`)
    .join(',');
  return {
    labels,
    codes: new Map(),
    buckets: new Float64Array(boundsSeconds.length),
    count: 0,
    sumSeconds: 0,
  };
}
