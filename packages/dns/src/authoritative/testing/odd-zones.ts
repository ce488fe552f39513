import { random } from '@cloudless/kube/testing/random';

const head = `$TTL 1h
@ IN SOA ns1 host 1 1h 15m 1w 60
 NS ns1
 NS ns2.example.net.
ns1 A 192.0.2.1
 AAAA 2001:db8::1
`;

/** A label of 48 octets: five of them are too long for a name that has others. */
const long = (letter: string): string => letter.repeat(48);

/** Zones by origin that have everything that the answer algorithm tells apart. */
export const oddZones: ReadonlyMap<string, string> = new Map([
  [
    'example.org',
    `${head}
www A 192.0.2.10
 A 192.0.2.11
 TXT "hello"
alias CNAME www
alias2 CNAME alias
out CNAME www.elsewhere.test.
toother CNAME www.example.net.
tochild CNAME www.child
dangling CNAME nothing
tocut CNAME x.sub
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
@ MX 10 mail
@ MX 20 mail.sub
@ MX 30 anything.wild
mail A 192.0.2.20
_sip._udp SRV 1 1 5060 www
_sip._udp SRV 1 1 5060 alias
deep.empty.non.terminal A 192.0.2.30
*.wild A 192.0.2.40
*.wild MX 10 mail
*.wcname CNAME www
*.wloop CNAME x.wloop
b.*.ent TXT "below a star"
exists.wild TXT "blocks"
x.blocked.wild TXT "deep"
sub NS ns.sub
sub NS ns.sub2
sub NS ns1
ns.sub A 192.0.2.50
ns.sub AAAA 2001:db8::50
hidden.sub TXT "hidden"
sub2 NS ns.sub2
sub2 DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.sub2 A 192.0.2.60
sub3 NS ns.elsewhere.test.
child NS ns1.child
ns1.child A 192.0.2.70
d DNAME target.example.net.
d TXT "at dname"
dd DNAME d
din DNAME wild
under.d A 192.0.2.99
caf AFSDB 1 mail
kx KX 1 mail
rt RT 1 mail
svc HTTPS 1 . alpn=h2
svc A 192.0.2.80
svc2 HTTPS 0 svc
svc3 SVCB 1 www port=53
svc4 SVCB 0 svc3
svc5 HTTPS 0 alias
null MX 0 .
long DNAME ${['a', 'b', 'c', 'd'].map(long).join('.')}.x.
weird\\.label TXT "one label"
\\000\\255 TXT "octets"
`,
  ],
  [
    'example.net',
    `$TTL 1h
@ IN SOA ns2 host 1 1h 15m 1w 60
 NS ns2
ns2 A 192.0.2.2
www A 192.0.2.100
a.target A 192.0.2.101
*.target TXT "wild"
back CNAME www.example.org.
`,
  ],
  [
    'child.example.org',
    '$TTL 1h\n@ 30 IN SOA ns1 host 1 1h 15m 1w 60\n NS ns1\nns1 A 192.0.2.70\nwww A 192.0.2.71\n',
  ],
]);

/** A zone of few labels, so that names meet: wildcards, cuts, aliases and redirections within each other. */
export function randomZone(seed: number): string {
  const next = random(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
  const name = (): string =>
    Array.from({ length: 1 + Math.floor(next() * 4) }, () => pick(['a', 'b', 'c', '*'])).join('.');
  const target = (): string => name().replaceAll('*', 'a');
  const data: Readonly<Record<string, () => string>> = {
    A: () => `A 192.0.2.${Math.floor(next() * 255)}`,
    TXT: () => `TXT "${Math.floor(next() * 1000)}"`,
    MX: () => `MX 10 ${target()}`,
    CNAME: () => `CNAME ${target()}`,
    NS: () => `NS ${target()}`,
    DNAME: () => `DNAME ${target()}`,
  };
  const kinds = ['A', 'A', 'A', 'TXT', 'MX', 'CNAME', 'CNAME', 'NS', 'DNAME'];
  const lines = new Map<string, string>();
  for (let i = 0; i < 20; i++) {
    const owner = name();
    const kind = pick(kinds);
    // Wildcards that delegate or redirect are refused, or mean different things to different servers.
    if ((kind === 'NS' || kind === 'DNAME') && owner.includes('*')) continue;
    if (!lines.has(owner)) lines.set(owner, `${owner} ${(data[kind] as () => string)()}\n`);
  }
  return head + [...lines.values()].join('');
}
