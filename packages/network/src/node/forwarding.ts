import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const forwardingPath = '/proc/sys/net/ipv4/ip_forward';

interface Memory {
  bootId: string;
  before: string;
}

/** What was remembered in this boot; undefined when nothing was, or nothing that can be read. */
function recall(memory: string, bootId: string): Memory | undefined {
  try {
    const remembered = JSON.parse(readFileSync(memory, 'utf8')) as Memory;
    return remembered.bootId === bootId ? remembered : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Turns forwarding on; what it was in this boot is written to `memory`, once, for {@link restoreForwarding}. Does nothing
 * when it is on already.
 */
export function enableForwarding(memory: string, bootId: string): void {
  const before = readFileSync(forwardingPath, 'utf8').trim();
  if (before === '1') return;
  if (!recall(memory, bootId)) {
    mkdirSync(dirname(memory), { recursive: true });
    writeFileSync(memory, JSON.stringify({ bootId, before }));
  }
  writeFileSync(forwardingPath, '1');
}

/** Sets forwarding to what it was before {@link enableForwarding} in this boot; otherwise leaves it as it is. */
export function restoreForwarding(memory: string, bootId: string): void {
  if (recall(memory, bootId)?.before === '0') writeFileSync(forwardingPath, '0');
  rmSync(memory, { force: true });
}
