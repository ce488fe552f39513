import type { Permission, Remote } from '../transfer/keys.ts';
import { networkOf, remoteIn } from './network.ts';
import type { Value } from './value.ts';

/** What PowerDNS's own settings say that counts here too. */
export interface PdnsSettings {
  readonly notify: readonly Remote[];
  readonly transferFrom: readonly Permission[];
  readonly updateFrom: readonly Permission[];
}

/** Settings that the chart gives itself, or that have no counterpart because there is nothing to set. */
const pointless =
  /^(launch|gsqlite3-.*|webserver.*|api|api-key|local-(address|port|ipv6)|loglevel.*|log-.*|daemon|guardian|setuid|setgid|socket-dir|config-.*|default-soa-.*|default-ttl|cache-ttl|.*-cache.*|.*-threads|master|primary|slave|secondary|dnsupdate|disable-axfr|version-string|security-poll-suffix|expand-alias|zone-.*|reuseport|server-id|allow-notify-from|only-notify)$/;

/**
 * Reads `pdns.extraArgs` (`--NAME=VALUE`) and `pdns.extraConfig` (a map, or lines of pdns.conf). Who may transfer, who is
 * notified and who may update are taken over; of others a warning says that they change nothing.
 */
export function readPdnsSettings(pdns: Value): PdnsSettings {
  const notify: Remote[] = [];
  const transferFrom: Permission[] = [];
  const updateFrom: Permission[] = [];
  const permissions = (value: Value): Permission[] =>
    value.items().flatMap((item) => {
      const network = networkOf(item);
      return network === undefined ? [] : [{ network, key: undefined, zones: undefined }];
    });
  for (const { name, value } of settingsOf(pdns)) {
    if (name === 'also-notify')
      notify.push(...value.items().flatMap((item) => remoteIn(item.text() ?? '', item) ?? []));
    else if (name === 'allow-axfr-ips') transferFrom.push(...permissions(value));
    else if (name === 'allow-dnsupdate-from') updateFrom.push(...permissions(value));
    else if (pointless.test(name))
      value.warning(`no effect: PowerDNS's setting ${name} has nothing to set here`);
    else
      value.warning(
        `no effect: PowerDNS's setting ${name} is not known here; transfers, updates, access, rateLimit and dnssec have keys of their own (docs/dns.md)`,
      );
  }
  return { notify, transferFrom, updateFrom };
}

function settingsOf(pdns: Value): Array<{ name: string; value: Value }> {
  const config = pdns.at('extraConfig');
  const lines = config.isMap ? [] : (config.text() ?? '').split('\n');
  return [
    ...pdns
      .at('extraArgs')
      .items()
      .flatMap((item) => {
        const setting = settingIn(item.text() ?? '', /^--(?<name>[a-z0-9-]+)\+?(?:=(?<value>.*))?$/s);
        if (setting) return [{ name: setting.name, value: item.holding(setting.value) }];
        item.error('expected an argument like --also-notify=192.0.2.53');
        return [];
      }),
    ...(config.isMap ? config.entries().map(({ key, value }) => ({ name: key, value })) : []),
    ...lines.flatMap((line) => {
      const setting = settingIn(
        line.replace(/#.*/, '').trim(),
        /^(?<name>[a-z0-9-]+)\s*\+?=\s*(?<value>.*)$/,
      );
      return setting ? [{ name: setting.name, value: config.holding(setting.value) }] : [];
    }),
  ];
}

function settingIn(text: string, form: RegExp): { name: string; value: string } | undefined {
  const match = form.exec(text)?.groups;
  return match && { name: match['name'] as string, value: (match['value'] ?? 'yes').trim() };
}
