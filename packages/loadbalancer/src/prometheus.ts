export type MetricSample = readonly [labels: Readonly<Record<string, string>>, value: number];

const escaped = (label: string): string => label.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));

/** One metric in Prometheus' text format; nothing for one without samples. */
export function metricFamily(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  samples: readonly MetricSample[],
): string {
  if (samples.length === 0) return '';
  const lines = samples.map(([labels, value]) => {
    const text = Object.entries(labels)
      .map(([key, label]) => `${key}="${escaped(label)}"`)
      .join(',');
    return `${name}${text === '' ? '' : `{${text}}`} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}
