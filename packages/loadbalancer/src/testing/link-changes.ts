/**
 * Changes the interfaces of its namespace at random and compares what the changes told with a fresh reading, for a test:
 * `node link-changes.ts SEED STEPS`. Prints `same` or the first difference. The namespace must have `eth0` and nothing to lose.
 */
import { spawnSync } from 'node:child_process';
import { LinkState } from '../layer2/link-state.ts';
import { RouteSocket } from '../layer2/netlink-socket.ts';
import type { LinkTable } from '../layer2/interface-choice.ts';
import { addressText, macText } from '../socket/address.ts';
import { seededNumbers } from './frame-mutations.ts';

const [seed = 1, steps = 100] = process.argv.slice(2).map(Number);
const below = seededNumbers(seed);
const routes = new RouteSocket();
const state = new LinkState(routes.read());

/** A table as lines, in an order of their own. */
function lines({ links, addresses, defaultRoutes }: LinkTable): string {
  return [
    ...links.map(
      ({ index, name, flags, mac, master, kind, carrierUps }) =>
        `link ${index} ${name} ${flags & 0x1_00c1} ${macText(mac)} ${master} ${kind} ${carrierUps}`,
    ),
    ...addresses.map(
      (own) => `address ${own.index} ${addressText(own.address)}/${own.prefixLength} ${own.tentative}`,
    ),
    ...defaultRoutes.map((route) => `route ${route.family} ${route.metric} ${route.indexes.join()}`),
  ]
    .sort()
    .join('\n');
}

const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
const pair = (): string => pick(['va', 'vb', 'vc']);
const commands: ReadonlyArray<() => string> = [
  () => {
    const name = pair();
    return `link add ${name} type veth peer name ${name}x`;
  },
  () => `link del ${pair()}`,
  () => 'link add br9 type bridge',
  () => `link del br9`,
  () => `link set ${pair()} ${pick(['up', 'down'])}`,
  () => `link set ${pair()}x ${pick(['up', 'down'])}`,
  () => `link set br9 ${pick(['up', 'down'])}`,
  () => `link set ${pair()} master br9`,
  () => `link set ${pair()} nomaster`,
  () => `link set ${pair()} address 02:00:00:00:00:${pick(['01', '02'])}`,
  () => `address ${pick(['add', 'del'])} 10.${below(3)}.0.1/${pick(['16', '24', '32'])} dev ${pair()}`,
  () => `address ${pick(['add', 'del'])} fd0${below(3)}::1/64 dev ${pair()}`,
  () => `route ${pick(['add', 'del', 'replace'])} default via 10.9.0.${2 + below(3)} metric ${below(2)}`,
  () => `route ${pick(['add', 'replace'])} default dev ${pair()} metric ${5 + below(2)}`,
  () =>
    `-6 route ${pick(['add', 'del', 'replace'])} default via fd09::${2 + below(3)} metric ${1 + below(2)}`,
  () => `link set eth0 ${pick(['up', 'up', 'down'])}`,
];

/** Takes in what was told until it is what there is; states that settle late (carrier, duplicates) need a moment. */
function agree(): boolean {
  for (let i = 0; i < 60; i++) {
    const changes = routes.changes();
    if (changes === 'lost') state.replace(routes.read());
    else if (state.apply(changes)) state.setDefaultRoutes(routes.defaultRoutes());
    if (lines(state.table()) === lines(routes.read())) return true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
  return false;
}

const done: string[] = [];
let failed = false;
for (let i = 0; i < steps && !failed; i++) {
  const batch = Array.from({ length: 1 + below(4) }, () => pick(commands)());
  done.push(...batch);
  // Many are refused (nothing of that name, exists already): that is a change too few, and no fault.
  spawnSync('ip', ['-force', '-batch', '-'], { input: `${batch.join('\n')}\n` });
  failed = !agree();
}
console.log(
  failed
    ? `seed ${seed}, after:\n${done.slice(-12).join('\n')}\ntold:\n${lines(state.table())}\nthere is:\n${lines(routes.read())}`
    : 'same',
);
routes.close();
