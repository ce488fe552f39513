/**
 * etcd's enumerations, each name at the place of its number on the wire (upstream: api/etcdserverpb/rpc.proto).
 */
export const sortOrders = ['none', 'ascend', 'descend'] as const;
export const sortTargets = ['key', 'version', 'create', 'mod', 'value'] as const;
export const compareResults = ['equal', 'greater', 'less', 'not-equal'] as const;
export const compareTargets = ['version', 'create', 'mod', 'value', 'lease'] as const;
export const watchFilters = ['noput', 'nodelete'] as const;
