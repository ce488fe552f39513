import { isIP } from 'node:net';
import { defaultTiming } from './heartbeat.ts';

/** How a speaker tells others that it is there, as the layer-2 thread has it. */
export interface HeartbeatSettings {
  /** The member's own address: heartbeats leave from it and come to it. */
  readonly address: string;
  readonly port: number;
  readonly intervalMs: number;
  readonly multiplier: number;
  /** The gossip's key; undefined: heartbeats are neither secret nor authenticated. */
  readonly gossipKey: Uint8Array | undefined;
  readonly sticky: boolean;
}

export type HeartbeatOptions = { readonly address: string } & Partial<HeartbeatSettings>;

/** UDP; beside gossip's 7946. */
export const defaultHeartbeatPort = 7947;

/** Settings from options and defaults. @throws {TypeError} in a sentence. */
export function heartbeatSettings(options: HeartbeatOptions): HeartbeatSettings {
  const settings: HeartbeatSettings = {
    address: options.address,
    port: options.port ?? defaultHeartbeatPort,
    intervalMs: options.intervalMs ?? defaultTiming.intervalMs,
    multiplier: options.multiplier ?? defaultTiming.multiplier,
    gossipKey: options.gossipKey,
    sticky: options.sticky ?? false,
  };
  if (isIP(settings.address) === 0)
    throw new TypeError(`heartbeats: address ${JSON.stringify(settings.address)} is no IP address`);
  inRange('port', settings.port, 1, 65_535);
  inRange('intervalMs', settings.intervalMs, 10, 10_000);
  inRange('multiplier', settings.multiplier, 2, 50);
  return settings;
}

function inRange(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new TypeError(`heartbeats: ${name} is ${value}, not a whole number from ${least} to ${most}`);
}
