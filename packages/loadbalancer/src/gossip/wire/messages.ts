import { MsgpackError, decodeStruct, encodeStruct } from './msgpack.ts';
import type { Shape, StructOf } from './msgpack.ts';

/** First byte of every message (memberlist, net.go). */
export const messageType = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compress: 9,
  encrypt: 10,
  nack: 11,
  crc: 12,
  error: 13,
  label: 244,
} as const;

const sourceFields = {
  SourceAddr: { kind: 'bytes', omitEmpty: true },
  SourceNode: { kind: 'string', omitEmpty: true },
  SourcePort: { kind: 'uint16', omitEmpty: true },
} as const satisfies Shape;

/** Fields of each message as Go's structs have them, sorted as its codec writes them. */
export const shapes = {
  ping: { Node: { kind: 'string' }, SeqNo: { kind: 'uint32' }, ...sourceFields },
  indirectPing: {
    Nack: { kind: 'boolean' },
    Node: { kind: 'string' },
    Port: { kind: 'uint16' },
    SeqNo: { kind: 'uint32' },
    ...sourceFields,
    Target: { kind: 'bytes' },
  },
  ack: { Payload: { kind: 'bytes' }, SeqNo: { kind: 'uint32' } },
  nack: { SeqNo: { kind: 'uint32' } },
  suspect: { From: { kind: 'string' }, Incarnation: { kind: 'uint32' }, Node: { kind: 'string' } },
  dead: { From: { kind: 'string' }, Incarnation: { kind: 'uint32' }, Node: { kind: 'string' } },
  alive: {
    Addr: { kind: 'bytes' },
    Incarnation: { kind: 'uint32' },
    Meta: { kind: 'bytes' },
    Node: { kind: 'string' },
    Port: { kind: 'uint16' },
    Vsn: { kind: 'bytes' },
  },
  error: { Error: { kind: 'string' } },
} as const satisfies Readonly<Record<string, Shape>>;

/** Header of a push/pull, before its {@link nodeStateShape}s and the user state. */
export const pushPullHeaderShape = {
  Join: { kind: 'boolean' },
  Nodes: { kind: 'int' },
  UserStateLen: { kind: 'int' },
} as const satisfies Shape;

/** One member in a push/pull. */
export const nodeStateShape = {
  Addr: { kind: 'bytes' },
  Incarnation: { kind: 'uint32' },
  Meta: { kind: 'bytes' },
  Name: { kind: 'string' },
  Port: { kind: 'uint16' },
  State: { kind: 'int' },
  Vsn: { kind: 'bytes' },
} as const satisfies Shape;

export const userHeaderShape = { UserMsgLen: { kind: 'int' } } as const satisfies Shape;

export const compressShape = { Algo: { kind: 'uint8' }, Buf: { kind: 'bytes' } } as const satisfies Shape;

export type MessageName = keyof typeof shapes;
export type Body<N extends MessageName> = StructOf<(typeof shapes)[N]>;
export type NodeState = StructOf<typeof nodeStateShape>;

/** A message that stands by itself. */
export type Message = { [N in MessageName]: { readonly name: N; readonly body: Body<N> } }[MessageName];

const nameOfType = new Map<number, MessageName>(
  (Object.keys(shapes) as MessageName[]).map((name) => [messageType[name], name]),
);

/** A message's bytes, type first. */
export function encodeMessage<N extends MessageName>(name: N, body: Body<N>): Buffer {
  return Buffer.concat([Buffer.of(messageType[name]), encodeStruct<Shape>(shapes[name], body)]);
}

/** Reads a message of {@link shapes}. Throws {@link MsgpackError} for other types and for bytes that are no message. */
export function decodeMessage(bytes: Buffer): Message {
  const type = bytes[0];
  const name = type === undefined ? undefined : nameOfType.get(type);
  if (name === undefined) throw new MsgpackError(`message type ${type ?? 'missing'} is not known`);
  return { name, body: decodeStruct<Shape>(shapes[name], bytes, 1).value } as Message;
}
