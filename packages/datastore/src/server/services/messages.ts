import { etcdRoot } from '@cloudless/kube/etcd/facts';
import { messageCodec } from '@cloudless/kube/protobuf/facts';
import type { Header } from '../codec/responses.ts';

const prefixBytes = 5;
const root = etcdRoot();

/** The header of an answer in protobufjs' form. */
export const wireHeader = ({ clusterId, memberId, raftTerm }: Header, revision: number): object => ({
  clusterId,
  memberId,
  raftTerm,
  revision,
});

/** Decoder of a request by its message's name. For calls that are rare: the frequent ones have codecs of their own. */
export function decoder<T extends object>(name: string): (message: Buffer) => T {
  return messageCodec<T>(root, `etcdserverpb.${name}`).decode;
}

/** Encoder of an answer into a frame. */
export function encoder(name: string): (answer: object) => Buffer {
  const { encode } = messageCodec<object>(root, `etcdserverpb.${name}`);
  return (answer) => {
    const message = encode(answer);
    const frame = Buffer.allocUnsafe(prefixBytes + message.length);
    frame[0] = 0;
    frame.writeUInt32BE(message.length, 1);
    message.copy(frame, prefixBytes);
    return frame;
  };
}
