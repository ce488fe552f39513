import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { excludeLabel } from '../speaker/announcements.ts';
import type { SpeakerStatus } from '../speaker/status.ts';
import { bgpAdvertisement, configuration, node, pool, service, slice } from '../speaker/testing/objects.ts';
import { type ClusterState, statusReport } from './report.ts';
import { reportText } from './text.ts';

const nowMs = Date.parse('2026-01-01T00:10:00Z');

const cluster = (over: Partial<ClusterState> = {}): ClusterState => ({
  services: [service('web'), service('dns', { addresses: ['192.0.2.9'] }), service('new', { addresses: [] })],
  slices: [slice('web', ['n1']), slice('dns', ['n2'])],
  nodes: [node('n1'), node('n2')],
  config: configuration(),
  l2: [
    {
      metadata: { name: 'l2-x', creationTimestamp: '2026-01-01T00:00:00Z' },
      status: { node: 'n2', serviceName: 'web', serviceNamespace: 'default' },
    },
  ],
  bgp: [],
  problems: [],
  ...over,
});

const speaker: SpeakerStatus = {
  node: 'n1',
  members: [
    { name: 'n1', address: '192.0.2.1' },
    { name: 'n2', address: '192.0.2.2' },
  ],
  addresses: [
    {
      address: '192.0.2.9',
      owner: 'n2',
      sinceMs: nowMs - 30_000,
      others: [{ node: 'n1', why: 'silent' }],
      contestedBy: undefined,
      interfaces: ['eth0'],
      sources: [{ kind: 'service', name: 'default/web' }],
    },
    {
      address: '192.0.2.100',
      owner: 'n1',
      sinceMs: nowMs - 7_200_000,
      others: [{ node: 'n2', why: 'later-in-election' }],
      contestedBy: undefined,
      interfaces: ['eth0'],
      sources: [{ kind: 'file', name: '/etc/vip.yaml' }],
    },
  ],
  services: [],
  peers: [
    {
      name: 'router',
      address: '192.0.2.254',
      state: 'Established',
      sinceMs: nowMs - 60_000,
      bfd: 'Up',
      advertisedRoutes: 2,
      lastError: undefined,
    },
  ],
  problems: [],
};

describe('cloudless loadbalancer status', () => {
  it('from the API alone: owners as status objects tell them', () => {
    const report = statusReport({ cluster: cluster(), speaker: undefined, strictExclude: false });
    assert.equal(
      reportText(report, nowMs),
      `ADDRESS    SERVICE                  POOL  MODE    OWNER  SINCE  CANDIDATES
192.0.2.9  default/web,default/dns  pool  layer2  n2     10m    n1,n2
    not n1: later in the election, or silent
default/new waits for an address: see its Events

no speaker answers on this machine: who owns what is as the API tells it
`,
    );
  });

  it('with this machine’s speaker: what it sees, addresses of files, peers and BFD', () => {
    const report = statusReport({
      cluster: cluster({ services: [service('web')] }),
      speaker,
      strictExclude: false,
    });
    assert.equal(
      reportText(report, nowMs),
      `ADDRESS      SERVICE             POOL  MODE    OWNER  SINCE  CANDIDATES
192.0.2.9    default/web         pool  layer2  n2     30s    n1,n2
    not n1: silent
192.0.2.100  file /etc/vip.yaml  -     layer2  n1     2h     n1,n2
    not n2: later in the election

PEER    ADDRESS      STATE        SINCE  BFD  ROUTES  LAST ERROR
router  192.0.2.254  Established  60s    Up   2       -

speakers seen from here: n1, n2
`,
    );
  });

  it('names the label that silences a Service, and the one that was overruled', () => {
    const labelled = cluster({
      services: [service('web')],
      nodes: [node('n1', { [excludeLabel]: '' })],
      l2: [],
    });
    const strict = reportText(
      statusReport({ cluster: labelled, speaker: undefined, strictExclude: true }),
      nowMs,
    );
    assert.match(
      strict,
      new RegExp(`nobody +- +none\n +not announced: every node that could has the label ${excludeLabel}`),
    );
    const kind = reportText(
      statusReport({ cluster: labelled, speaker: undefined, strictExclude: false }),
      nowMs,
    );
    assert.match(
      kind,
      new RegExp(`n1\n +every candidate has the label ${excludeLabel}: announced all the same`),
    );
  });

  it('BGP: every node that advertises, and to whom', () => {
    const state = cluster({
      services: [service('web')],
      config: configuration([pool({ l2Advertisements: [], bgpAdvertisements: [bgpAdvertisement()] })]),
      bgp: ['n2', 'n1'].map((name) => ({
        metadata: { name: `bgp-${name}`, creationTimestamp: '2026-01-01T00:09:00Z' },
        status: { node: name, serviceName: 'web', serviceNamespace: 'default', peers: ['router'] },
      })),
    });
    const report = statusReport({ cluster: state, speaker: undefined, strictExclude: false });
    assert.deepEqual(
      report.addresses[0]?.modes.map(({ mode, owners }) => [mode, owners]),
      [['bgp', ['n1', 'n2']]],
    );
    assert.match(reportText(report, nowMs), /n1: to router/);
  });

  it('a broken configuration is told', () => {
    const state = cluster({ config: undefined, problems: ['IPAddressPool a/b: spec.addresses[0]: no'] });
    const text = reportText(
      statusReport({ cluster: state, speaker: undefined, strictExclude: false }),
      nowMs,
    );
    assert.match(text, /^! IPAddressPool a\/b: spec\.addresses\[0\]: no$/m);
  });
});
