/**
 * What a hostile peer can make this member hold or do. memberlist's own bounds (net.go) are 20 and 40 MiB a stream; a
 * cluster of 16384 members with 400 bytes each takes less than ours.
 */
export const limits = {
  /** Members, the dead included, that are remembered; more are not let in. */
  members: 16_384,
  /** A node's name; Kubernetes' have 253 at most. */
  nameBytes: 512,
  /** A node's meta (memberlist's MetaMaxSize). */
  metaBytes: 512,
  /** What a packet may unfold to. No member sends larger packets before compressing them. */
  packetBytes: 65_536,
  /** Compound and compressed messages in one another. memberlist nests a compound in a compressed one. */
  packetDepth: 4,
  /** A stream's bytes, and what they may unfold to. */
  streamBytes: 8 * 1024 * 1024,
  /** Streams that others opened and that are open at a time; further ones are closed at once. */
  inboundStreams: 64,
  /** Bytes that all inbound streams together hold; the stream that goes beyond is closed. */
  inboundBytes: 32 * 1024 * 1024,
  /** Indirect pings that are being done for others. */
  relays: 1_024,
} as const;
