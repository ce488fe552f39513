export const processNames = ['control-plane', 'node-agent', 'dns'] as const;

/** What `ps` shows of a process: its job, and which node's it is. */
export const processTitle = (name: string, root: string): string => `cloudless ${name} ${root}`;
