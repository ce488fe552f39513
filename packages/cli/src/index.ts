/**
 * The `cloudless` command: runs all parts on this machine, or the node's alone, and the only package that knows every
 * other. It promises: what cannot work is refused before anything is changed, in a sentence with its remedy; a process
 * that ends by itself is started again; Ctrl-C and `down` leave the machine as it was found.
 *
 * ```ts
 * process.argv.splice(2, Infinity, 'up', '--root', '/tmp/one', '--runtime', 'simulated', '--detach');
 * await main(); // failures set process.exitCode and are told in a sentence
 * ```
 */
export { main } from './program.ts';
export { type ClusterConfig, loadConfig } from './cluster-config.ts';
export { MachineError } from './machine.ts';
export { type ClusterOptions, parseOptions, UsageError } from './options.ts';
