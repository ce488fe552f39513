import facts from '../../data/etcd-v3-proto.json' with { type: 'json' };
import { loadRoot, type PackageFacts } from '../protobuf/facts.ts';

/** etcd's v3 API as committed interface facts: messages, enums and services of etcdserverpb, mvccpb, authpb. */
export const etcdFacts: readonly PackageFacts[] = Object.values(facts) as unknown as PackageFacts[];

/** A protobufjs root of etcd's API with camel-case field names, for `messageCodec` and `serviceDefinition`. */
export const etcdRoot = (): ReturnType<typeof loadRoot> => loadRoot(etcdFacts, { camelCase: true });
