// A member in a process of its own, to be killed: `node member-process.ts '{"nodeName": …, "joins": "ip:port", …}'`.
import { logger } from '@cloudless/kube/logger';
import { startGossip } from '../start.ts';

interface Arguments {
  nodeName: string;
  host: string;
  port: number;
  compression: boolean;
  /** Base64. */
  key?: string;
  joins: string;
}

const { nodeName, host, port, compression, key, joins } = JSON.parse(process.argv[2] ?? '') as Arguments;
const gossip = await startGossip({
  nodeName,
  bindAddress: host,
  port,
  profile: 'local',
  compression,
  meta: Buffer.from([0xff, 0x80]),
  delegateVersions: { min: 2, max: 5, current: 4 },
  log: logger('gossip-test'),
  ...(key === undefined ? {} : { key: Buffer.from(key, 'base64') }),
});
console.log(await gossip.join([joins]));
