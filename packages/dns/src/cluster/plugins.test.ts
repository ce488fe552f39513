import assert from 'node:assert/strict';
import type { Socket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import dnsPacket from 'dns-packet';
import { answerTo, serve } from '../forward/testing.ts';
import { service, short, TestCluster } from './testing.ts';

describe('plugins of a Corefile', () => {
  let port = 0;
  let socket: Socket;
  const asked: string[] = [];
  before(async () => {
    const server = await serve((query, send) => {
      const question = dnsPacket.decode(query).questions?.[0];
      asked.push(question?.name ?? '');
      const name = question?.name ?? '';
      if (question?.type === 'SRV')
        send(
          answerTo(query, {
            answers: [
              { type: 'SRV', name, ttl: 60, data: { priority: 1, weight: 2, port: 3, target: `t.${name}` } },
            ],
          }),
        );
      else send(answerTo(query));
    });
    socket = server.socket;
    port = server.config.port;
  });
  after(() => socket.close());

  /** A cluster of one block with these lines, a Service, and the server above for the rest. */
  const cluster = (lines: string): TestCluster => {
    const made = new TestCluster(
      `. {\nkubernetes cluster.local\nforward . 127.0.0.1:${port}\nloadbalance\n${lines}\n}\n`,
    );
    made.put(
      service('web', {
        clusterIP: '10.96.0.20',
        clusterIPs: ['10.96.0.20'],
        ports: [{ name: 'http', port: 80 }],
      }),
    );
    made.put(service('far', { type: 'ExternalName', externalName: 'far.example.org' }));
    return made;
  };
  const using = async (lines: string, work: (made: TestCluster) => Promise<void>): Promise<void> => {
    const made = cluster(lines);
    asked.length = 0;
    try {
      await work(made);
    } finally {
      await made.stop();
    }
  };

  it('forward, and aliases that lead outside', () =>
    using('cache', async (made) => {
      assert.deepEqual(short(await made.ask('www.example.org')), ['198.51.100.7']);
      assert.deepEqual(short(await made.ask('far.shop.svc.cluster.local')), [
        'far.example.org',
        '198.51.100.7',
      ]);
      assert.deepEqual(asked, ['www.example.org', 'far.example.org']);
      const packet = await made.ask('WWW.Example.ORG');
      assert.equal(packet.questions?.[0]?.name, 'WWW.Example.ORG');
      assert.equal(asked.length, 2, 'from the cache');
    }));

  it('forward by zone, except and next', async () => {
    const made = new TestCluster(
      `. {\nforward corp.example 127.0.0.1:9 {\nexcept open.corp.example\n}\nforward . 127.0.0.1:${port}\n}\nlab.example {\nforward . 127.0.0.1:${port}\n}\n`,
    );
    asked.length = 0;
    assert.equal((await made.ask('a.corp.example')).rcode, 'SERVFAIL');
    assert.equal((await made.ask('a.open.corp.example')).rcode, 'NOERROR');
    assert.equal((await made.ask('a.lab.example')).rcode, 'NOERROR');
    assert.deepEqual(asked, ['a.open.corp.example', 'a.lab.example']);
    await made.stop();
  });

  it('a name outside every server block is refused', async () => {
    const made = new TestCluster('example.org {\nforward . 127.0.0.1:9\n}\n');
    assert.equal((await made.ask('example.net')).rcode, 'REFUSED');
    await made.stop();
  });

  it('hosts: inline, file, wildcard, PTR, NODATA, fallthrough', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cloudless-dns-'));
    writeFileSync(
      join(folder, 'hosts'),
      '# c\n192.0.2.9 file.example  both.example # x\nfd00::9 file.example\n',
    );
    await using(
      `hosts ${folder}/hosts {\n192.0.2.1 a.example b.example\nfd00::1 a.example\n192.0.2.2 both.example\n192.0.2.3 *.wild.example\nttl 60\nfallthrough\n}`,
      async (made) => {
        const table: ReadonlyArray<readonly [string, string, string[]]> = [
          ['a.example', 'A', ['192.0.2.1']],
          ['A.Example', 'AAAA', ['fd00::1']],
          ['a.example', 'TXT', []],
          ['file.example', 'AAAA', ['fd00::9']],
          ['both.example', 'A', ['192.0.2.2']],
          ['x.wild.example', 'A', ['192.0.2.3']],
          ['1.2.0.192.in-addr.arpa', 'PTR', ['a.example', 'b.example']],
          ['other.example', 'A', ['198.51.100.7']],
          ['wild.example', 'A', ['198.51.100.7']],
        ];
        for (const [name, type, answers] of table)
          assert.deepEqual(short(await made.ask(name, type)), answers, `${type} ${name}`);
      },
    );
    await using('hosts /nowhere {\n192.0.2.1 a.example\n}', async (made) => {
      assert.equal((await made.ask('other.example')).rcode, 'SERVFAIL', 'without fallthrough');
    });
    rmSync(folder, { recursive: true });
  });

  it('rewrite name: exact, prefix, suffix, substring, regex, and the way back', async () => {
    const web = 'web.shop.svc.cluster.local';
    const table: ReadonlyArray<readonly [rule: string, asked: string, owner: string, answer: string]> = [
      [`rewrite name shop.example ${web}`, 'shop.example', 'shop.example', '10.96.0.20'],
      [`rewrite name exact shop.example ${web}`, 'Shop.Example', 'shop.example', '10.96.0.20'],
      [`rewrite name prefix my- ''`, 'other.example', 'other.example', '198.51.100.7'],
      ['rewrite name prefix old. web.', 'old.shop.svc.cluster.local', web, '10.96.0.20'],
      [
        'rewrite name prefix old. web. answer auto',
        'old.shop.svc.cluster.local',
        'old.shop.svc.cluster.local',
        '10.96.0.20',
      ],
      [
        'rewrite stop {\nname suffix .k8s.example .svc.cluster.local answer auto\n}',
        'web.shop.k8s.example',
        'web.shop.k8s.example',
        '10.96.0.20',
      ],
      [
        'rewrite name substring example svc.cluster answer auto',
        'web.shop.example.local',
        'web.shop.example.local',
        '10.96.0.20',
      ],
      [
        String.raw`rewrite name regex (.*)-(.*)\.apps\.example {1}.{2}.svc.cluster.local answer name (.*)\.(.*)\.svc\.cluster\.local {1}-{2}.apps.example`,
        'web-shop.apps.example',
        'web-shop.apps.example',
        '10.96.0.20',
      ],
      [
        `rewrite continue name a.example b.example\nrewrite name b.example ${web}`,
        'a.example',
        'a.example',
        '10.96.0.20',
      ],
    ];
    for (const [rule, name, owner, answer] of table)
      await using(rule, async (made) => {
        const packet = await made.ask(name);
        assert.deepEqual(short(packet), [answer], rule);
        assert.equal(packet.answers?.[0]?.name.toLowerCase(), owner, rule);
        assert.equal(packet.questions?.[0]?.name, name, rule);
      });
    await using(
      String.raw`rewrite name suffix .in.example .out.example answer auto answer value (.*)\.out\.example {1}.in.example`,
      async (made) => {
        assert.deepEqual(short(await made.ask('_x._tcp.in.example', 'SRV')), ['1 2 3 t._x._tcp.in.example']);
        assert.deepEqual(asked, ['_x._tcp.out.example']);
      },
    );
    await using(`rewrite name suffix .x.example .${'y'.repeat(70)}`, async (made) => {
      assert.equal((await made.ask('a.x.example')).rcode, 'SERVFAIL', 'what is no name is not asked for');
    });
  });

  it('no name makes a pattern hold the server up', () =>
    using(String.raw`rewrite name regex ^(a+)+\.example\.$ b.example`, async (made) => {
      const startedMs = performance.now();
      await made.ask(`${'a'.repeat(60)}!.example`);
      // Going back and forth it would take longer than there is time.
      assert.ok(performance.now() - startedMs < 5000);
    }));

  it('template: fields, groups, sections, response codes, fallthrough', () =>
    using(
      String.raw`template IN A ip.example {
  match ^ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]ip[.]example[.]$
  answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
  fallthrough
}
template IN ANY invalid {
  rcode NXDOMAIN
  authority "invalid. 60 {{ .Class }} SOA ns.invalid. hostmaster.invalid. (1 60 60 60 60)"
  ederror 21 "Blocked according to RFC2606"
}
template IN A hex.example {
  match "^ip0a(?P<b>[a-f0-9]{2})[.]hex[.]example[.]$"
  answer "{{ .Name }} A 10.0.0.{{ parseInt .Group.b 16 8 }}"
}
template IN TXT who.example {
  answer "{{ .Name }} 0 TXT \"{{ .Remote }} {{ index .Match 0 }} {{ .Type }} {{ .Zone }}\""
}
template IN MX mail.example {
  answer "{{ .Name }} 60 IN MX ten mx.example."
}`,
      async (made) => {
        assert.deepEqual(short(await made.ask('ip-192-0-2-5.ip.example')), ['192.0.2.5']);
        assert.deepEqual(short(await made.ask('other.ip.example')), ['198.51.100.7'], 'it falls through');
        const invalid = await made.ask('x.invalid');
        assert.equal(invalid.rcode, 'NXDOMAIN');
        assert.equal(invalid.authorities?.[0]?.type, 'SOA');
        assert.deepEqual(short(await made.ask('ip0aff.hex.example')), ['10.0.0.255']);
        assert.equal((await made.ask('none.hex.example')).rcode, 'SERVFAIL');
        assert.deepEqual(short(await made.ask('a.who.example', 'TXT')), [
          '10.244.0.9 a.who.example. TXT who.example.',
        ]);
        assert.equal((await made.ask('mail.example', 'MX')).rcode, 'SERVFAIL', 'a record that is none');
        assert.match(made.lines.join('\n'), /template of line \d+: MX/);
      },
    ));

  it('log: names, classes, format; a name cannot forge a line', () =>
    using('log cluster.local "{type} {name} {rcode} {>rflags} {proto}" {\nclass denial\n}', async (made) => {
      await made.ask('web.shop.svc.cluster.local');
      await made.ask('none.shop.svc.cluster.local');
      await made.ask('www.example.org');
      await made.ask('a\nb.cluster.local');
      assert.deepEqual(made.lines, [
        'A none.shop.svc.cluster.local. NXDOMAIN qr,aa,rd,ra udp',
        String.raw`A a\010b.cluster.local. NXDOMAIN qr,aa,rd,ra udp`,
      ]);
    }));

  it('loadbalance: each address comes first at times, and without it never another', async () => {
    const lines = 'hosts {\n192.0.2.1 a.example\n192.0.2.2 a.example\n192.0.2.3 a.example\n}';
    await using(lines, async (made) => {
      const first = new Set<string>();
      for (let i = 0; i < 100; i++) first.add(short(await made.ask('a.example'))[0] ?? '');
      assert.equal(first.size, 3);
    });
    const made = new TestCluster(`. {\n${lines}\n}`);
    for (let i = 0; i < 20; i++) assert.equal(short(await made.ask('a.example'))[0], '192.0.2.1');
    await made.stop();
  });

  it('a new Corefile counts at once; a block that stays keeps its cache', async () => {
    const block = `example.org {\nforward . 127.0.0.1:${port}\ncache\n}\n`;
    const made = new TestCluster(`${block}. {\nhosts {\n192.0.2.1 a.example\n}\n}\n`);
    asked.length = 0;
    await made.ask('www.example.org');
    made.use(`# moved\n. {\nhosts {\n192.0.2.2 a.example\n}\n}\n\n${block}`);
    await made.ask('www.example.org');
    assert.deepEqual(asked, ['www.example.org']);
    assert.deepEqual(short(await made.ask('a.example')), ['192.0.2.2']);
    await made.stop();
  });
});
