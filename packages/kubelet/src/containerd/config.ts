/** What the private containerd's configuration depends on. */
export interface ContainerdSettings {
  rootFolder: string;
  stateFolder: string;
  socketPath: string;
  cniBinFolder: string;
  cniConfFolder: string;
  /** Reference of the pause image; it must be in the store, nobody pulls it. */
  sandboxImage: string;
  snapshotter: 'overlayfs' | 'native';
  systemdCgroup: boolean;
  /** True where CAP_SYS_RESOURCE is missing: runc could not lower a sandbox's oom_score_adj and would fail. */
  restrictOomScoreAdj: boolean;
  runcPath: string;
  /** Folder of `hosts.toml` per registry (containerd: docs/hosts.md). */
  registryFolder: string;
}

const quote = (text: string): string => JSON.stringify(text);

/**
 * The configuration of a containerd of our own: version 2, which 1.6 to 2.x read. Everything it writes is under
 * our folders: its own root, state, sockets, runc's state, network namespaces and the streaming server, which
 * takes a free port of the loopback.
 */
export function containerdConfig(settings: ContainerdSettings): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = ${quote(settings.rootFolder)}
state = ${quote(settings.stateFolder)}
oom_score = ${settings.restrictOomScoreAdj ? 0 : -999}
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
  address = ${quote(settings.socketPath)}

[ttrpc]
  address = ${quote(`${settings.socketPath}.ttrpc`)}

[debug]
  level = "info"

[plugins."io.containerd.internal.v1.opt"]
  path = ${quote(`${settings.rootFolder}/opt`)}

[${cri}]
  sandbox_image = ${quote(settings.sandboxImage)}
  restrict_oom_score_adj = ${settings.restrictOomScoreAdj}
  netns_mounts_under_state_dir = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

  [${cri}.cni]
    bin_dir = ${quote(settings.cniBinFolder)}
    conf_dir = ${quote(settings.cniConfFolder)}
    max_conf_num = 1

  [${cri}.registry]
    config_path = ${quote(settings.registryFolder)}

  [${cri}.containerd]
    snapshotter = ${quote(settings.snapshotter)}
    default_runtime_name = "runc"
    discard_unpacked_layers = true

    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [${cri}.containerd.runtimes.runc.options]
        BinaryName = ${quote(settings.runcPath)}
        Root = ${quote(`${settings.stateFolder}/runc`)}
        SystemdCgroup = ${settings.systemdCgroup}
`;
}
