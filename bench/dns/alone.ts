/** A command that runs on some cores and before all else of the machine: what is measured is the one who answers. */
export function onCores(cores: string, program: string, args: readonly string[]): [string, string[]] {
  // Where the kernel shares time among sessions, a nice value counts within one only.
  const first = 'echo -17 > /proc/self/autogroup 2>/dev/null; exec nice -n -17 taskset -c "$0" "$@"';
  return ['setsid', ['-w', 'sh', '-c', first, cores, program, ...args]];
}
