import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type FsmAction, type FsmSettings, BgpFsm } from './fsm.ts';
import type { Incoming } from './wire/incoming.ts';
import { BgpError } from './wire/notification.ts';
import { decodeOpen } from './wire/open.ts';
import { allCapabilities } from './testing/passive-peer.ts';

const settings: FsmSettings = {
  localAsn: 64512,
  peerAsn: 64513,
  holdTimeSeconds: 90,
  keepaliveTimeSeconds: 30,
  connectTimeSeconds: 120,
  restart: undefined,
  random: () => 1,
  noAnswer: 'no answer',
};

const open = (change: { asn?: number; holdTimeSeconds?: number; identifier?: number } = {}): Incoming => ({
  type: 'open',
  open: {
    shortAsn: change.asn ?? 64513,
    holdTimeSeconds: change.holdTimeSeconds ?? 90,
    identifier: change.identifier ?? 2,
    capabilities: { ...allCapabilities, fourOctetAsn: change.asn ?? 64513 },
  },
});

/** A state machine with a clock, driven in sentences. */
class Driver {
  readonly fsm: BgpFsm;
  nowMs = 0;
  /** What was done since the last look: `connect`, `close`, `send open`, `send 3/6` … */
  #done: FsmAction[] = [];

  constructor(change: Partial<FsmSettings> = {}) {
    this.fsm = new BgpFsm({ ...settings, ...change });
  }

  tell(event: Parameters<BgpFsm['handle']>[0]): this {
    this.#done.push(...this.fsm.handle(event, this.nowMs));
    return this;
  }

  message(message: Incoming): this {
    return this.tell({ type: 'message', message });
  }

  /** Moves on, firing timers as they fall due. */
  pass(ms: number): this {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const deadlineMs = this.fsm.nextDeadlineMs;
      if (deadlineMs === undefined || deadlineMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, deadlineMs);
      this.tell({ type: 'timer' });
    }
    this.nowMs = untilMs;
    return this;
  }

  establish(heard: Incoming = open()): this {
    this.tell({ type: 'start' }).tell({ type: 'connected', identifier: 1 });
    this.message(heard).message({ type: 'keepalive' });
    assert.equal(this.fsm.state, 'Established');
    this.done();
    return this;
  }

  done(): string[] {
    return this.#done.splice(0).map((action) => {
      if (action.type !== 'send') return action.type;
      if (action.kind !== 'notification') return `send ${action.kind}`;
      return `send ${action.frame[19]}/${action.frame[20]}`;
    });
  }
}

describe('the finite state machine', () => {
  it('goes from Idle to Established', () => {
    const driver = new Driver();
    assert.equal(driver.fsm.state, 'Idle');
    assert.deepEqual(driver.tell({ type: 'start' }).done(), ['connect']);
    assert.equal(driver.fsm.state, 'Connect');
    assert.deepEqual(driver.tell({ type: 'connected', identifier: 1 }).done(), ['send open']);
    assert.equal(driver.fsm.state, 'OpenSent');
    assert.deepEqual(driver.message(open()).done(), ['send keepalive']);
    assert.equal(driver.fsm.state, 'OpenConfirm');
    assert.deepEqual(driver.message({ type: 'keepalive' }).done(), ['established']);
    assert.equal(driver.fsm.state, 'Established');
  });

  it('a refused connection is tried again after 1, 2, 4 … s, at most the configured time', () => {
    const driver = new Driver({ connectTimeSeconds: 10 }).tell({ type: 'start' });
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      driver.tell({ type: 'connect-failed', reason: 'refused' });
      assert.equal(driver.fsm.state, 'Active');
      waits.push(((driver.fsm.nextDeadlineMs as number) - driver.nowMs) / 1000);
      driver.pass(10_000 + 1);
    }
    assert.deepEqual(waits, [1, 2, 4, 8, 10, 10]);
    assert.equal(driver.fsm.lastError, 'refused');
  });

  it('jitter takes off up to a quarter', () => {
    const driver = new Driver({ random: () => 0 }).tell({ type: 'start' });
    driver.tell({ type: 'connect-failed', reason: 'refused' });
    assert.equal(driver.fsm.nextDeadlineMs, 750);
  });

  it('a connection that nobody answers is given up after 10 s and tried at once', () => {
    const driver = new Driver().tell({ type: 'start' });
    driver.done();
    assert.deepEqual(driver.pass(9_999).done(), []);
    assert.deepEqual(driver.pass(1).done(), ['close', 'connect']);
    assert.equal(driver.fsm.lastError, 'no answer');
  });

  it('a peer that accepts and says nothing is told so after a minute', () => {
    const driver = new Driver().tell({ type: 'start' }).tell({ type: 'connected', identifier: 1 });
    driver.done();
    assert.deepEqual(driver.pass(60_000).done(), ['send 4/0', 'close']);
    assert.equal(driver.fsm.state, 'Idle');
    assert.deepEqual(driver.pass(1000).done(), ['connect']);
  });

  it('a silent peer is lost after the smaller hold time of the two', () => {
    const driver = new Driver().establish(open({ holdTimeSeconds: 9 }));
    driver.pass(8_999);
    assert.equal(driver.fsm.state, 'Established');
    driver.done();
    assert.deepEqual(driver.pass(1).done().slice(-3), ['send 4/0', 'lost', 'close']);
    assert.equal(driver.fsm.lastError, 'sent: hold timer expired: nothing was heard for 9 s');
  });

  it('any message but an OPEN restarts the hold timer', () => {
    const driver = new Driver().establish(open({ holdTimeSeconds: 9 }));
    const update: Incoming = {
      type: 'update',
      update: {
        announced: [],
        withdrawn: [],
        nextHops: [],
        asPath: [],
        localPref: undefined,
        communities: [],
        endOfRib: 'ipv4',
      },
    };
    for (const message of [update, { type: 'keepalive' }, { type: 'route-refresh', family: 'ipv4' }] as const)
      driver.pass(8_000).message(message);
    assert.equal(driver.pass(8_000).fsm.state, 'Established');
    assert.ok(driver.done().includes('refresh'));
  });

  for (const [ours, theirs, every] of [
    [30, 90, 30],
    [30, 9, 3],
    [1, 9, 1],
  ] as const)
    it(`KEEPALIVEs every ${every} s with ${ours} s configured and a hold time of ${theirs} s`, () => {
      const driver = new Driver({ keepaliveTimeSeconds: ours }).establish(open({ holdTimeSeconds: theirs }));
      let sent = 0;
      for (let i = 0; i < 6; i++) {
        sent += driver
          .message({ type: 'keepalive' })
          .pass(every * 1000)
          .done().length;
        assert.equal(driver.fsm.state, 'Established');
      }
      assert.equal(sent, 6);
    });

  it('a hold time of 0 watches nothing and sends no KEEPALIVE', () => {
    const driver = new Driver().establish(open({ holdTimeSeconds: 0 }));
    assert.equal(driver.fsm.nextDeadlineMs, undefined);
    assert.deepEqual(driver.pass(1e9).done(), []);
  });

  it('a session that lasted is retried after a second, one that did not ever later', () => {
    const driver = new Driver();
    const waits: number[] = [];
    for (const lastedMs of [100, 100, 100, 40_000, 100]) {
      driver.establish(open({ holdTimeSeconds: 0 })).pass(lastedMs);
      driver.tell({ type: 'refuse', error: new BgpError(3, 1) });
      waits.push(((driver.fsm.nextDeadlineMs as number) - driver.nowMs) / 1000);
      driver.tell({ type: 'stop', silent: true, words: '' });
    }
    assert.deepEqual(waits, [1, 2, 4, 1, 2]);
  });

  it('answers what does not belong to a state', () => {
    const sent = new Driver().tell({ type: 'start' }).tell({ type: 'connected', identifier: 1 });
    assert.ok(sent.message({ type: 'keepalive' }).done().includes('send 5/1'));
    const confirmed = new Driver().tell({ type: 'start' }).tell({ type: 'connected', identifier: 1 });
    assert.ok(confirmed.message(open()).message(open()).done().includes('send 5/2'));
    const driver = new Driver().establish();
    assert.deepEqual(driver.message(open()).done(), ['send 5/3', 'lost', 'close']);
  });

  for (const [what, change, peer, answer] of [
    ['another AS', {}, { asn: 64999 }, '2/2'],
    ['our own AS where an external one is wanted', { peerAsn: 'external' }, { asn: 64512 }, '2/2'],
    ['another AS where an internal one is wanted', { peerAsn: 'internal' }, { asn: 64513 }, '2/2'],
    ['our own identifier within the AS', { peerAsn: 64512 }, { asn: 64512, identifier: 1 }, '2/3'],
  ] as const)
    it(`refuses ${what}`, () => {
      const driver = new Driver(change).tell({ type: 'start' }).tell({ type: 'connected', identifier: 1 });
      assert.ok(driver.message(open(peer)).done().includes(`send ${answer}`));
      assert.equal(driver.fsm.state, 'Idle');
    });

  for (const [what, change, peer, internal] of [
    ['any other AS where an external one is wanted', { peerAsn: 'external' }, { asn: 4_200_000_000 }, false],
    ['our own AS where an internal one is wanted', { peerAsn: 'internal' }, { asn: 64512 }, true],
    ['our own identifier from another AS (RFC 6286)', {}, { identifier: 1 }, false],
  ] as const)
    it(`takes ${what}`, () => {
      const driver = new Driver(change).establish(open(peer));
      assert.equal(driver.fsm.negotiated?.internal, internal);
    });

  it('is spoken to without capabilities by a peer that knows none, until a session has ended', () => {
    const driver = new Driver().tell({ type: 'start' });
    const capabilities = (): unknown => {
      const [sent] = driver.fsm.handle({ type: 'connected', identifier: 1 }, driver.nowMs);
      assert.ok(sent?.type === 'send');
      return decodeOpen(sent.frame.subarray(19)).capabilities;
    };
    assert.notEqual(capabilities(), undefined);
    driver.message({ type: 'notification', notification: { code: 2, subcode: 4, data: Buffer.alloc(0) } });
    assert.equal(driver.fsm.lastError, 'the peer says: OPEN message error: unsupported optional parameter');
    driver.pass(1000);
    assert.equal(capabilities(), undefined);
    driver.message(open()).message({ type: 'keepalive' });
    assert.equal(driver.fsm.negotiated?.fourOctetAsn, false);
    driver.tell({ type: 'closed', reason: 'reset' }).pass(2000);
    assert.notEqual(capabilities(), undefined);
  });

  it('stops from every state, without a word where there is nobody to tell', () => {
    const stop = { type: 'stop', silent: false, words: 'bye' } as const;
    const states: Array<[string, Driver, string[]]> = [
      ['Idle', new Driver(), []],
      ['Connect', new Driver().tell({ type: 'start' }), ['connect', 'close']],
      [
        'Active',
        new Driver().tell({ type: 'start' }).tell({ type: 'connect-failed', reason: '' }),
        ['connect', 'close'],
      ],
      [
        'OpenSent',
        new Driver().tell({ type: 'start' }).tell({ type: 'connected', identifier: 1 }),
        ['connect', 'send open', 'send 6/2', 'close'],
      ],
      ['Established', new Driver().establish(), ['send 6/2', 'lost', 'close']],
    ];
    for (const [state, driver, done] of states) {
      assert.equal(driver.fsm.state, state);
      assert.deepEqual(driver.tell(stop).done(), done, state);
      assert.equal(driver.fsm.state, 'Idle');
      assert.equal(driver.fsm.nextDeadlineMs, undefined);
      assert.deepEqual(driver.tell({ type: 'closed', reason: 'late' }).done(), []);
    }
  });

  it('hears nothing of a connection that is not its own any more', () => {
    const driver = new Driver().establish();
    driver.tell({ type: 'refuse', error: new BgpError(3, 1) });
    driver.done();
    driver.message({ type: 'keepalive' }).tell({ type: 'closed', reason: 'late' });
    driver.tell({ type: 'refuse', error: new BgpError(3, 1) }).tell({ type: 'bfd-down', diagnostic: 'late' });
    assert.deepEqual(driver.done(), []);
    assert.equal(driver.fsm.state, 'Idle');
  });
});
