import { lazyModule } from '@cloudless/kube/lazy';
import type { KubeObject } from '@cloudless/kube/object';
import type { LazyCodecs } from './encode.ts';

/**
 * YAML and protobuf, whose libraries take longer to load than the server takes to start: they come in with the first
 * request that needs them.
 */
const codec = <T>(name: string): (() => T) => lazyModule<T>(import.meta.url, `@cloudless/kube/codec/${name}`);
const protobuf = codec<typeof import('@cloudless/kube/codec/protobuf')>('protobuf');
const protobufWatch = codec<typeof import('@cloudless/kube/codec/protobuf-watch')>('protobuf-watch');
const yaml = codec<typeof import('@cloudless/kube/codec/yaml')>('yaml');

export const lazyCodecs: LazyCodecs = {
  yaml: (object) => yaml().stringifyYaml(object),
  protobuf: (object) => protobuf().encodeProtobuf(object),
  protobufList: (list, slices) => protobuf().encodeProtobufList(list, slices),
  protobufWatchEvent: (type, object) => protobufWatch().watchFrame(type, protobuf().encodeProtobuf(object)),
};

/** An object from `k8s\0` bytes. Throws an Error that says what is wrong with them. */
export const readProtobuf = (
  bytes: Uint8Array,
  defaults?: { apiVersion: string; kind: string },
): KubeObject => protobuf().decodeProtobuf(bytes, defaults) as unknown as KubeObject;

/** A YAML document as JSON values. */
export const parseYaml = (text: string, onDuplicate: (text: string) => void): unknown =>
  yaml().parseYaml(text, { onDuplicate });
