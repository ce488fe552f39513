// Run as a process: the server under attack. Tells its facts in one line; ends when its standard input does.
// `TIMEOUTS`: JSON of some of its timeouts, shorter than a cluster has them so that a test can wait for them.
import { startVictimServer } from './victim.ts';

const timeouts = JSON.parse(process.env['TIMEOUTS'] ?? '{}') as Record<string, number>;
const { facts, stop } = await startVictimServer(timeouts);
process.stdout.write(`${JSON.stringify(facts)}\n`);
process.stdin.resume();
process.stdin.once('end', () => {
  void stop().then(() => process.exit(0));
});
