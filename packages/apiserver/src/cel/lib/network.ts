/** IP addresses and networks (apiserver/pkg/cel/library/ip.go, cidr.go). */
import { fn, method, type Overload } from '../check/functions.ts';
import { CelFailure, CelOpaque, type CelValue, fail, noSuchOverload } from '../run/values.ts';
import { boolType, intType, opaqueType, stringType } from '../types.ts';
import { type Address, addressText, bitsOf, parseAddress } from './go-address.ts';
import { goQuoted } from './string-format.ts';

const ipType = opaqueType('net.IP');
const cidrType = opaqueType('net.CIDR');

class IpValue extends CelOpaque {
  override readonly typeName = 'net.IP';
  readonly address: Address;

  constructor(address: Address) {
    super();
    this.address = address;
  }

  override equals(other: CelOpaque): boolean {
    return (
      other instanceof IpValue &&
      other.address.family === this.address.family &&
      other.address.value === this.address.value
    );
  }

  override text(): string {
    return addressText(this.address);
  }

  override get size(): number {
    return bitsOf(this.address.family) / 8;
  }

  /** Whether the address lies in a range: `within(0xe0000000n, 4)` is IPv4's 224.0.0.0/4. */
  within(first: bigint, length: number): boolean {
    const shift = BigInt(bitsOf(this.address.family) - length);
    return this.address.value >> shift === first >> shift;
  }
}

class CidrValue extends CelOpaque {
  override readonly typeName = 'net.CIDR';
  readonly address: Address;
  readonly length: number;

  constructor(address: Address, length: number) {
    super();
    this.address = address;
    this.length = length;
  }

  override equals(other: CelOpaque): boolean {
    return (
      other instanceof CidrValue &&
      other.length === this.length &&
      other.address.family === this.address.family &&
      other.address.value === this.address.value
    );
  }

  override text(): string {
    return `${addressText(this.address)}/${this.length}`;
  }

  override get size(): number {
    return Math.ceil(this.length / 8);
  }

  /** The address with all bits zero that the network leaves to hosts. */
  get first(): bigint {
    const shift = BigInt(bitsOf(this.address.family) - this.length);
    return (this.address.value >> shift) << shift;
  }

  contains(address: Address): boolean {
    if (address.family !== this.address.family) return false;
    const shift = BigInt(bitsOf(address.family) - this.length);
    return address.value >> shift === this.address.value >> shift;
  }
}

function ipOf(text: string): IpValue | CelFailure {
  const address = parseAddress(text);
  if (typeof address === 'string')
    return fail(`IP Address ${goQuoted(text)} parse error during conversion from string: ${address}`);
  if (address.zone !== '') return fail(`IP address ${goQuoted(text)} with zone value is not allowed`);
  if (address.mapped) return fail(`IPv4-mapped IPv6 address ${goQuoted(text)} is not allowed`);
  return new IpValue(address);
}

function prefixProblem(text: string, why: string): CelFailure {
  return fail(
    `network address parse error during conversion from string: netip.ParsePrefix(${goQuoted(text)}): ${why}`,
  );
}

function networkOf(text: string): CidrValue | CelFailure {
  const slash = text.lastIndexOf('/');
  if (slash < 0) return prefixProblem(text, "no '/'");
  const address = parseAddress(text.slice(0, slash));
  if (typeof address === 'string') return prefixProblem(text, address);
  if (address.zone !== '') return prefixProblem(text, 'IPv6 zones cannot be present in a prefix');
  const bits = text.slice(slash + 1);
  if (!/^(?:0|[1-9]\d*)$/.test(bits)) return prefixProblem(text, `bad bits after slash: ${goQuoted(bits)}`);
  if (Number(bits) > bitsOf(address.family)) return prefixProblem(text, 'prefix length out of range');
  if (address.mapped) return fail(`IPv4-mapped IPv6 address ${goQuoted(text)} is not allowed`);
  return new CidrValue(address, Number(bits));
}

/** The context stands twice before what ParsePrefix says, as upstream has it. */
function cidrOf(text: string): CidrValue | CelFailure {
  const network = networkOf(text);
  return network instanceof CelFailure
    ? fail(`network address parse error during conversion from string: ${network.message}`)
    : network;
}

const isIpv4 = (ip: IpValue): boolean => ip.address.family === 'IPv4';
const isUnspecified = (ip: IpValue): boolean => ip.address.value === 0n;
const isLoopback = (ip: IpValue): boolean =>
  isIpv4(ip) ? ip.within(0x7f00_0000n, 8) : ip.address.value === 1n;
const isMulticast = (ip: IpValue): boolean =>
  isIpv4(ip) ? ip.within(0xe000_0000n, 4) : ip.within(0xffn << 120n, 8);
const isLinkLocalMulticast = (ip: IpValue): boolean =>
  isIpv4(ip) ? ip.within(0xe000_0000n, 24) : ((ip.address.value >> 112n) & 0xff0fn) === 0xff02n;
const isLinkLocalUnicast = (ip: IpValue): boolean =>
  isIpv4(ip) ? ip.within(0xa9fe_0000n, 16) : ip.within(0xfe80n << 112n, 10);
const isGlobalUnicast = (ip: IpValue): boolean =>
  !(isIpv4(ip) && ip.address.value === 0xffff_ffffn) &&
  !isUnspecified(ip) &&
  !isLoopback(ip) &&
  !isMulticast(ip) &&
  !isLinkLocalUnicast(ip);

const containsIp = (cidr: CidrValue, ip: IpValue | CelFailure): CelValue =>
  ip instanceof CelFailure ? noSuchOverload : cidr.contains(ip.address);
const containsCidr = (cidr: CidrValue, other: CidrValue | CelFailure): CelValue =>
  other instanceof CelFailure ? other : cidr.length <= other.length && cidr.contains(other.address);

const ofIp = (name: string, id: string, test: (ip: IpValue) => boolean): Overload =>
  method(name, id, [ipType], boolType, test);

export const networkLibrary: readonly Overload[] = [
  fn('ip', 'string_to_ip', [stringType], ipType, ipOf),
  method('family', 'ip_family', [ipType], intType, (ip: IpValue) => (isIpv4(ip) ? 4n : 6n)),
  fn('ip.isCanonical', 'ip_is_canonical', [stringType], boolType, (text: string) => {
    const ip = ipOf(text);
    return ip instanceof CelFailure ? ip : ip.text() === text;
  }),
  ofIp('isUnspecified', 'ip_is_unspecified', isUnspecified),
  ofIp('isLoopback', 'ip_is_loopback', isLoopback),
  ofIp('isLinkLocalMulticast', 'ip_is_link_local_multicast', isLinkLocalMulticast),
  ofIp('isLinkLocalUnicast', 'ip_is_link_local_unicast', isLinkLocalUnicast),
  ofIp('isGlobalUnicast', 'ip_is_global_unicast', isGlobalUnicast),
  fn('isIP', 'is_ip', [stringType], boolType, (text: string) => ipOf(text) instanceof IpValue),
  fn('string', 'ip_to_string', [ipType], stringType, (ip: IpValue) => ip.text()),
  fn('cidr', 'string_to_cidr', [stringType], cidrType, cidrOf),
  method(
    'containsIP',
    'cidr_contains_ip_string',
    [cidrType, stringType],
    boolType,
    (cidr: CidrValue, text: string) => containsIp(cidr, ipOf(text)),
  ),
  method('containsIP', 'cidr_contains_ip_ip', [cidrType, ipType], boolType, containsIp),
  method(
    'containsCIDR',
    'cidr_contains_cidr_string',
    [cidrType, stringType],
    boolType,
    (cidr: CidrValue, text: string) => containsCidr(cidr, cidrOf(text)),
  ),
  method('containsCIDR', 'cidr_contains_cidr', [cidrType, cidrType], boolType, containsCidr),
  method('ip', 'cidr_ip', [cidrType], ipType, (cidr: CidrValue) => new IpValue(cidr.address)),
  method('prefixLength', 'cidr_prefix_length', [cidrType], intType, (cidr: CidrValue) => BigInt(cidr.length)),
  method(
    'masked',
    'cidr_masked',
    [cidrType],
    cidrType,
    (cidr: CidrValue) => new CidrValue({ ...cidr.address, value: cidr.first }, cidr.length),
  ),
  fn('isCIDR', 'is_cidr', [stringType], boolType, (text: string) => networkOf(text) instanceof CidrValue),
  fn('string', 'cidr_to_string', [cidrType], stringType, (cidr: CidrValue) => cidr.text()),
];
