import { Findings, readYaml, type Value } from './value.ts';

/**
 * The same text without the secrets that stand in it, line by line as it was: what may be kept in a ConfigMap, while the
 * secrets are in Secrets. Text that is no YAML comes back as ''.
 */
export function withoutSecrets(text: string): string {
  const root = readYaml(text, new Findings(''));
  if (!root) return '';
  const apiKey = root.at('pdns').at('apiKeySecret');
  const values: Value[] = [
    apiKey.at('valuePlain'),
    apiKey.at('valueBase64'),
    root.at('engine').at('key'),
    ...(root.at('tsigKeys').isMap ? root.at('tsigKeys').entries() : []).map(({ value }) => value),
  ];
  const spans = values.flatMap((value) => (value.isEmpty ? [] : [value.span ?? []].filter(isSpan)));
  let rest = text;
  // From the end, so that what is before stays where it is; an anchor may stand for several.
  const ordered = [...new Map(spans.map((span) => [span[0], span])).values()].sort(([a], [b]) => b - a);
  for (const [start, end] of ordered) {
    const lineEnds = rest.slice(start, end).replace(/[^\n]/g, '');
    rest = `${rest.slice(0, start)}''${lineEnds}${rest.slice(end)}`;
  }
  return rest;
}

function isSpan(span: readonly number[]): span is readonly [number, number] {
  return span.length === 2;
}
