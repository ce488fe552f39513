/** What one zone's text may come to, all that it includes with it: configuration is others' input. */
export const zoneTextLimits = {
  /** Octets of text, roughly 1,000,000 records. */
  textBytes: 64 * 1024 * 1024,
  records: 1_000_000,
  /** `$INCLUDE` within `$INCLUDE`. */
  includeDepth: 10,
  /** Texts that are included, each time that they are. */
  includes: 1000,
  /** Records of one `$GENERATE`. */
  generated: 65_536,
  /** Problems that are told one by one, of a kind. */
  problems: 100,
} as const;
