import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import type { NodeContext } from '@cloudless/kube/node/context';

const configName = '10-cloudless.conflist';

/** Writes only when content or mode differ, and atomically: containerd watches these folders. */
export function placeFile(path: string, text: string, mode: number): void {
  try {
    if (readFileSync(path, 'utf8') === text && (statSync(path).mode & 0o777) === mode) return;
  } catch {
    // Not there yet.
  }
  writeFileSync(`${path}.tmp`, text);
  chmodSync(`${path}.tmp`, mode);
  renameSync(`${path}.tmp`, path);
}

const scriptPath = (context: NodeContext): string => join(dirname(context.paths.cniBin), 'plugin.mjs');
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * Puts the plugins where containerd looks for them: `cloudless`, which hands over to the agent, and `loopback`,
 * which containerd always calls first and which needs no agent.
 */
export function installPlugins(context: NodeContext): void {
  const { cniBin, cniConf, cniSocket } = context.paths;
  mkdirSync(cniBin, { recursive: true, mode: 0o755 });
  mkdirSync(cniConf, { recursive: true, mode: 0o755 });
  // Without its types: stripping them at each call would double the 30 ms that a pod waits for the plugin.
  const script = scriptPath(context);
  const source = readFileSync(join(import.meta.dirname, 'plugin.ts'), 'utf8');
  placeFile(script, stripTypeScriptTypes(source), 0o644);
  placeFile(
    join(cniBin, 'cloudless'),
    `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(script)} ${quoted(cniSocket)}\n`,
    0o755,
  );
  const result = `{"cniVersion":"1.0.0","interfaces":[{"name":"lo","mac":"00:00:00:00:00:00","sandbox":"'"$CNI_NETNS"'"}],"ips":[{"address":"127.0.0.1/8","interface":0}]}`;
  placeFile(
    join(cniBin, 'loopback'),
    `#!/bin/sh
# CNI 1.0.0 loopback: containerd calls it for every sandbox.
cat >/dev/null
case $CNI_COMMAND in
  ADD|CHECK) nsenter --net="$CNI_NETNS" ip link set lo up && printf '%s' '${result}' ;;
  VERSION) printf '%s' '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}' ;;
esac
`,
    0o755,
  );
}

/** Tells containerd that the pod network is ready. */
export function writeCniConfig(context: NodeContext): void {
  const config = {
    cniVersion: '1.0.0',
    name: 'cloudless',
    plugins: [{ type: 'cloudless', capabilities: { portMappings: true } }],
  };
  placeFile(join(context.paths.cniConf, configName), `${JSON.stringify(config, null, 2)}\n`, 0o644);
}

/** Takes that back; containerd then reports NetworkReady=false. */
export function removeCniConfig(context: NodeContext): void {
  rmSync(join(context.paths.cniConf, configName), { force: true });
}

/** Removes the plugins. */
export function removePlugins(context: NodeContext): void {
  const { cniBin } = context.paths;
  for (const path of [join(cniBin, 'cloudless'), join(cniBin, 'loopback'), scriptPath(context)])
    rmSync(path, { force: true });
}
