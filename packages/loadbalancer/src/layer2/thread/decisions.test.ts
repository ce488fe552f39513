import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AddressPlan } from '../../announcement.ts';
import type { Member, Ownership } from '../layer2.ts';
import { type Announcing, Decisions } from './decisions.ts';
import { MemberElector } from './elector.ts';

const plan = (address: string, candidates: readonly string[] | 'any' = 'any'): AddressPlan => ({
  address,
  candidates,
  interfaces: 'any',
  sources: [],
  refused: [],
});
const member = (name: string): Member => ({ name, address: '192.0.2.1' });

function scripted() {
  const heard: string[] = [];
  const reports: Array<{ changed: readonly Ownership[]; gone: readonly string[] }> = [];
  const wall = { ms: 1000, interfaces: ['eth0'] };
  const announcing: Announcing = {
    setPlans: (plans) => void heard.push(`plans ${plans.map(({ address }) => address).join()}`),
    setOwned: (owned) => void heard.push(`owned ${[...owned].join()}`),
    interfacesFor: () => wall.interfaces,
    heldBy: () => [],
  };
  const decisions = new Decisions({
    nodeName: 'n1',
    elector: new MemberElector(),
    announcing,
    nowMs: () => 0,
    wallClockMs: () => wall.ms,
    report: (changed, gone) => {
      heard.push('reported');
      reports.push({ changed, gone });
    },
  });
  return { decisions, heard, reports, wall };
}

describe('decisions carried out', () => {
  it('are asked for once for all that changed in a round, and carried out before they are reported', () => {
    const { decisions, heard } = scripted();
    decisions.setMembers([member('n1')]);
    decisions.setPlans([plan('192.0.2.9')]);
    decisions.changed();
    assert.equal(decisions.nextDeadlineMs(), 0);
    decisions.deadline();
    assert.deepEqual(heard, ['plans 192.0.2.9', 'owned 192.0.2.9', 'reported']);
    assert.equal(decisions.nextDeadlineMs(), Infinity);
  });

  it('report what is new only, with the time since which the owner is the owner', () => {
    const { decisions, reports, wall } = scripted();
    decisions.setMembers([member('n1')]);
    decisions.setPlans([plan('192.0.2.9', ['n1']), plan('fd00::9', ['n2'])]);
    decisions.deadline();
    wall.ms = 2000;
    wall.interfaces = [];
    decisions.setPlans([plan('192.0.2.9', ['n1'])]);
    decisions.deadline();
    decisions.deadline();
    assert.equal(reports.length, 2);
    assert.deepEqual(
      reports[0]?.changed.map(({ address, owner }) => [address, owner]),
      [
        ['192.0.2.9', 'n1'],
        ['fd00::9', undefined],
      ],
    );
    const [kept] = reports[1]?.changed ?? [];
    assert.deepEqual([kept?.sinceMs, kept?.interfaces], [1000, []]);
    assert.deepEqual(reports[1]?.gone, ['fd00::9']);
  });

  it('after a freeze are made before anything else is done', () => {
    const { decisions, heard } = scripted();
    decisions.setPlans([plan('192.0.2.9')]);
    decisions.frozen();
    assert.deepEqual(heard.slice(0, 2), ['plans 192.0.2.9', 'owned ']);
  });

  it('a Service’s second address has the owner of its first', () => {
    const { decisions, reports } = scripted();
    decisions.setMembers(['n1', 'n2', 'n3', 'n4', 'n5'].map(member));
    const others = Array.from({ length: 20 }, (_, i) => ({ ...plan(`fd00::${i}`), electedBy: '192.0.2.9' }));
    decisions.setPlans([plan('192.0.2.9'), ...others]);
    decisions.deadline();
    assert.equal(new Set(reports[0]?.changed.map(({ owner }) => owner)).size, 1);
  });
});
