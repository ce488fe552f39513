import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { WireError } from '../wire/name.ts';
import type { TsigKey } from './keys.ts';
import { joinTsig, splitTsig } from './tsig-record.ts';
import { signError, TsigError, TsigSigner, TsigVerifier, verifyRequest } from './tsig.ts';

const key: TsigKey = { name: 'k.example', algorithm: 'hmac-sha256', secret: Buffer.from('0123456789abcdef') };

/** A SOA query for example.org. */
function query(id = 0x1234): Buffer {
  const header = Buffer.from('000000000001000000000000', 'hex');
  header.writeUInt16BE(id, 0);
  return Buffer.concat([header, Buffer.from('\x07example\x03org\0\0\x06\0\x01', 'latin1')]);
}

function macOf(message: Buffer, clock: FakeClock): Buffer {
  const { signature } = verifyRequest(message, [key], clock.nowMs());
  assert.equal(signature.kind, 'valid');
  return (signature as { mac: Buffer }).mac;
}

describe('TSIG of a request (RFC 8945)', () => {
  const clock = new FakeClock();

  for (const algorithm of [
    'hmac-md5',
    'hmac-sha1',
    'hmac-sha224',
    'hmac-sha256',
    'hmac-sha384',
    'hmac-sha512',
  ] as const)
    it(`is what was signed with ${algorithm}, and no octet of it may change`, () => {
      const own = { ...key, algorithm };
      const signer = new TsigSigner(own, clock);
      const signed = signer.sign(query());
      assert.equal(signed.length, query().length + signer.addedBytes);
      const { unsigned, signature } = verifyRequest(signed, [own], clock.nowMs());
      assert.deepEqual(unsigned, query());
      assert.equal(signature.kind, 'valid');
      for (let i = 0; i < signed.length; i++) {
        const changed = Buffer.from(signed);
        changed[i] = (changed[i] as number) ^ 0x01;
        // The id is the forwarder's to change: the original one is in the record (section 5.2).
        if (i < 2) continue;
        try {
          assert.notEqual(verifyRequest(changed, [own], clock.nowMs()).signature.kind, 'valid', `octet ${i}`);
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
        }
      }
    });

  it('is matched by name in any case, and by algorithm', () => {
    const signed = new TsigSigner({ ...key, name: 'K.Example' }, clock).sign(query());
    const bad = verifyRequest(signed, [{ ...key, algorithm: 'hmac-sha1' }], clock.nowMs()).signature;
    assert.ok(bad.kind === 'bad' && bad.error === 17 && bad.key === undefined);
  });

  it('answers BADKEY and BADSIG without a signature, BADTIME and BADTRUNC with one', () => {
    const verifierOf = (signed: Buffer): TsigVerifier =>
      new TsigVerifier(key, clock, signed.subarray(signed.length - 6 - 32, signed.length - 6));
    const answerTo = (signed: Buffer, keys: TsigKey[]): Buffer => {
      const { signature } = verifyRequest(signed, keys, clock.nowMs());
      assert.ok(signature.kind === 'bad');
      const response = query();
      response[2] = 0x80;
      response[3] = 9;
      return signError(response, signature, clock.nowMs());
    };
    const signed = new TsigSigner(key, clock).sign(query());
    assert.throws(() => verifierOf(signed).accept(answerTo(signed, [])), /BADKEY/);
    const other = { ...key, secret: Buffer.from('other') };
    assert.throws(() => verifierOf(signed).accept(answerTo(signed, [other])), /BADSIG/);
    clock.stepWall(-1_000_000);
    const old = new TsigSigner(key, clock).sign(query());
    clock.stepWall(1_000_000);
    assert.throws(() => verifierOf(old).accept(answerTo(old, [key])), /clocks are 0 s apart|BADTIME/);
    const { unsigned, tsig } = splitTsig(signed);
    assert.ok(tsig);
    const truncated = joinTsig(unsigned, { ...tsig, mac: tsig.mac.subarray(0, 16) });
    const { signature } = verifyRequest(truncated, [key], clock.nowMs());
    assert.ok(signature.kind === 'bad' && signature.error === 22 && signature.key === key);
  });

  it('tells FORMERR for a record in the wrong place, a MAC of odd length, or bytes behind it', () => {
    const signed = new TsigSigner(key, clock).sign(query());
    assert.throws(() => verifyRequest(Buffer.concat([signed, Buffer.of(0)]), [key], 0), WireError);
    const twice = new TsigSigner(key, clock).sign(signed);
    assert.throws(() => verifyRequest(twice, [key], clock.nowMs()), /not the last record/);
  });
});

describe('TSIG of a stream', () => {
  const clock = new FakeClock();
  const requestMac = macOf(new TsigSigner(key, clock).sign(query()), clock);
  const verifier = (): TsigVerifier => new TsigVerifier(key, clock, requestMac);

  it('covers each message, in their order', () => {
    const signer = new TsigSigner(key, clock, requestMac);
    const messages = [1, 2, 3].map((id) => signer.sign(query(id)));
    const good = verifier();
    assert.deepEqual(
      messages.map((message) => good.accept(message)),
      [1, 2, 3].map(query),
    );
    good.finish();
    const [first, second, third] = messages as [Buffer, Buffer, Buffer];
    for (const wrong of [[second], [first, third], [first, second, second], [first, query(9), second]]) {
      const bad = verifier();
      assert.throws(() => wrong.forEach((message) => bad.accept(message)), TsigError);
    }
  });

  it('may leave up to 99 messages unsigned, but neither the first nor the last', () => {
    const between = Array.from({ length: 99 }, (_, i) => query(i));
    const first = new TsigSigner(key, clock, requestMac);
    const start = first.sign(query(500));
    const good = verifier();
    good.accept(start);
    for (const message of between) good.accept(message);
    assert.throws(() => good.finish(), /last message is not signed/);
    assert.throws(() => good.accept(query(7)), /100 messages/);
    assert.throws(() => verifier().accept(query()), /not signed/);
  });
});
