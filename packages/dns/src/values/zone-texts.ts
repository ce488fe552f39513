import type { IncludedText, ZoneText } from '../external/config.ts';
import { quoted } from './value.ts';
import { zoneName } from './zone-name.ts';

/** Names with these endings hold parts of zones, for `$INCLUDE`. */
const part = /\.(inc|include)$/i;
const suffix = /\.zone$/i;

/**
 * The zones among texts by name: the name is the origin, with or without `.zone` behind it; what ends in `.inc` or
 * `.include` is no zone but can be included by all that stand beside it, as the other zones can.
 */
export function zoneTexts(texts: ReadonlyMap<string, IncludedText>): {
  zones: ZoneText[];
  problems: Array<{ key: string; message: string }>;
} {
  const zones = new Map<string, ZoneText & { key: string }>();
  const problems: Array<{ key: string; message: string }> = [];
  for (const [key, { text, place }] of texts) {
    if (part.test(key)) continue;
    const origin = zoneName(key.replace(suffix, ''));
    const before = zones.get(origin ?? '');
    if (origin === undefined)
      problems.push({ key, message: `${quoted(key)} is no name of a zone; parts for $INCLUDE end in .inc` });
    else if (before)
      problems.push({
        key,
        message: `the zone ${origin} is there already, as ${before.key}: keep one of them`,
      });
    else zones.set(origin, { key, origin, text, place, includes: texts });
  }
  return { zones: [...zones.values()].map(({ key: _, ...zone }) => zone), problems };
}
