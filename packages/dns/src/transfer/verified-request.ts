import type { Clock } from '@cloudless/kube/clock';
import type { Peer } from '../server/request.ts';
import { extendedErrorOption } from '../wire/edns.ts';
import { emptyMessage, ednsUdpSize, type Message, parseMessage, writeMessage } from '../wire/message.ts';
import { rcode } from '../wire/types.ts';
import type { TsigKey } from './keys.ts';
import type { Asker } from './permission.ts';
import { type RequestSignature, signError, TsigSigner, verifyRequest } from './tsig.ts';

/** What an answer says beside what it takes over from the request. */
export interface Reply extends Partial<
  Pick<Message, 'rcode' | 'authoritative' | 'questions' | 'answers' | 'authorities' | 'additionals'>
> {
  /** Sent to those who use EDNS (RFC 8914). */
  readonly reason?: { readonly code: number; readonly text: string } | undefined;
  /** EDNS's CO flag. */
  readonly compactOk?: boolean | undefined;
}

/** Most octets of an extended error's text: it must not crowd the answer out. */
const reasonBytes = 200;

/**
 * One request that was understood, its signature verified, and the way to answer it: signed as it was, one message after the
 * other.
 */
export class VerifiedRequest {
  readonly message: Message;
  readonly signature: RequestSignature;
  readonly peer: Peer;
  readonly #clock: Clock;
  readonly #signer: TsigSigner | undefined;

  private constructor(message: Message, signature: RequestSignature, peer: Peer, clock: Clock) {
    this.message = message;
    this.signature = signature;
    this.peer = peer;
    this.#clock = clock;
    this.#signer =
      signature.kind === 'valid' ? new TsigSigner(signature.key, clock, signature.mac) : undefined;
  }

  /** Parses and verifies a request. Throws WireError: FORMERR. */
  static open(message: Buffer, keys: readonly TsigKey[], peer: Peer, clock: Clock): VerifiedRequest {
    const { unsigned, signature } = verifyRequest(message, keys, clock.nowMs());
    return new VerifiedRequest(parseMessage(unsigned), signature, peer, clock);
  }

  get asker(): Asker {
    return {
      address: this.peer.address,
      key: this.signature.kind === 'valid' ? this.signature.key.name : undefined,
    };
  }

  /** Octets that an answer may have before it is signed. */
  get maxBytes(): number {
    const whole =
      this.peer.transport === 'udp' ? Math.min(this.message.edns?.udpSize ?? 512, ednsUdpSize) : 65_535;
    return whole - (this.#signer?.addedBytes ?? 0);
  }

  /** The answer before it is signed; over UDP it may be truncated. */
  write(reply: Reply): Buffer {
    const { message } = this;
    const { reason, compactOk = false, ...parts } = reply;
    const edns = message.edns && {
      udpSize: ednsUdpSize,
      version: 0,
      dnssecOk: message.edns.dnssecOk,
      compactOk,
      options: reason ? [extendedErrorOption(reason.code, shortened(reason.text))] : [],
    };
    const whole: Message = {
      ...emptyMessage,
      id: message.id,
      opcode: message.opcode,
      isResponse: true,
      recursionDesired: message.recursionDesired,
      checkingDisabled: message.checkingDisabled,
      questions: message.questions,
      edns,
      ...parts,
    };
    return writeMessage(whole, { maxBytes: this.maxBytes });
  }

  sign(written: Buffer): Buffer {
    return this.#signer?.sign(written) ?? written;
  }

  reply(reply: Reply): Buffer {
    return this.sign(this.write(reply));
  }

  /** NOTAUTH with the error in its TSIG record (RFC 8945 section 5.2), for a bad signature. */
  replyToBadSignature(bad: RequestSignature & { kind: 'bad' }): Buffer {
    return signError(this.write({ rcode: rcode.notAuth }), bad, this.#clock.nowMs());
  }
}

function shortened(text: string): string {
  return text.length <= reasonBytes ? text : `${text.slice(0, reasonBytes - 1)}…`;
}
