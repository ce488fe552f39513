/** Whether `name` is `zone` or below it; both lower case, without the final dot. */
export function isBelow(name: string, zone: string): boolean {
  return (
    zone === '' ||
    (name.endsWith(zone) &&
      (name.length === zone.length || name.charCodeAt(name.length - zone.length - 1) === 46))
  );
}

/** The longest of the zones that `name` is in. */
export function zoneAround(zones: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (const zone of zones)
    if (isBelow(name, zone) && (found === undefined || zone.length > found.length)) found = zone;
  return found;
}
