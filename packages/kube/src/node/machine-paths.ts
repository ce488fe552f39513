/**
 * Places that other programs choose and that belong to the machine, whatever `--root` says. Like the paths of
 * {@link NodeContext} they are named here and nowhere else.
 */

/** There when systemd is process 1 (sd_booted(3)). */
export const systemdBootedFolder = '/run/systemd/system';

/** Where systemd-resolved keeps the servers behind its own stub, which a pod cannot reach. */
export const resolvedServersFile = '/run/systemd/resolve/resolv.conf';

/**
 * Sockets of the shims of every containerd on the machine: the path is compiled into containerd 1.x and does not
 * follow its `state`. The second is the folder above it.
 */
export const shimSocketFolders = ['/run/containerd/s', '/run/containerd'] as const;

/** Where a pod finds the token, the CA and the namespace of its service account. */
export const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';
