/** What pods of Windows may ask for (upstream: validateWindowsSecurityContextOptions, validateWindowsHostProcessPod). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { PodSpec, WindowsSecurityContextOptions } from '@cloudless/kube/types/core-v1';
import { dns1123Subdomain } from '../../validation/fields.ts';
import { containersOf } from './containers.ts';

const maxCredentialSpecBytes = 64 * 1024;
const maxDomainLength = 256;
const maxUserLength = 104;

// eslint-disable-next-line no-control-regex -- a user name must not hold control characters
const controlCharacters = /[\u0000-\u001f\u007f]/;
const netBiosName = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/;
const dnsLabel = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
const dnsDomain = new RegExp(`^${dnsLabel}(?:\\.${dnsLabel})*$`);
const refusedInUser = /["/\\:;|=,+*?<>@[\]]/;

/** What is wrong with `DOMAIN\user`, of which the domain may be left out. */
function userNameProblems(name: string): string[] {
  if (name === '') return ['runAsUserName cannot be an empty string'];
  if (controlCharacters.test(name)) return ['runAsUserName cannot contain control characters'];
  const parts = name.split('\\');
  if (parts.length > 2) return ['runAsUserName cannot contain more than one backslash'];
  const user = parts.at(-1) as string;
  const domain = parts.length === 2 ? (parts[0] as string) : undefined;
  const found: string[] = [];
  if (domain !== undefined && Buffer.byteLength(domain) >= maxDomainLength)
    found.push(`runAsUserName's Domain length must be under ${maxDomainLength} characters`);
  if (domain !== undefined && !netBiosName.test(domain) && !dnsDomain.test(domain))
    found.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
  if (user === '') found.push("runAsUserName's User cannot be empty");
  else if (Buffer.byteLength(user) > maxUserLength)
    found.push(`runAsUserName's User length must not be longer than ${maxUserLength} characters`);
  if (/^[. ]+$/.test(user)) found.push("runAsUserName's User cannot contain only periods or spaces");
  if (refusedInUser.test(user))
    found.push('runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]');
  return found;
}

export function validateWindowsOptions(
  options: WindowsSecurityContextOptions | undefined | null,
  path: FieldPath,
): FieldError[] {
  if (!options) return [];
  const { gmsaCredentialSpecName, gmsaCredentialSpec, runAsUserName } = options;
  const wrong: FieldError[] = [];
  if (gmsaCredentialSpecName != null)
    wrong.push(...dns1123Subdomain(gmsaCredentialSpecName, path.child('gmsaCredentialSpecName')));
  if (gmsaCredentialSpec != null) {
    const at = path.child('gmsaCredentialSpec');
    if (gmsaCredentialSpec === '')
      wrong.push(fieldErrors.invalid(at, '', 'gmsaCredentialSpec cannot be an empty string'));
    else if (Buffer.byteLength(gmsaCredentialSpec) > maxCredentialSpecBytes)
      wrong.push(fieldErrors.invalid(at, gmsaCredentialSpec, 'gmsaCredentialSpec size must be under 64 KiB'));
  }
  if (runAsUserName == null) return wrong;
  const at = path.child('runAsUserName');
  return [
    ...wrong,
    ...userNameProblems(runAsUserName).map((why) => fieldErrors.invalid(at, runAsUserName, why)),
  ];
}

/** A pod's containers are processes of the host all together, in its network, or none of them is. */
export function validateHostProcesses(spec: PodSpec, path: FieldPath): FieldError[] {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess;
  const wrong: FieldError[] = [];
  let containers = 0;
  let hostProcesses = 0;
  for (const [container, at] of containersOf(spec, path)) {
    containers++;
    const own = container.securityContext?.windowsOptions?.hostProcess;
    if (ofPod != null && own != null && ofPod !== own) {
      const why = `pod hostProcess value must be identical if both are specified, was ${ofPod}`;
      const here = at.child('securityContext', 'windowsOptions', 'hostProcess');
      wrong.push(fieldErrors.invalid(here, own, why));
    }
    if (own ?? ofPod ?? false) hostProcesses++;
  }
  if (hostProcesses === 0) return wrong;
  if (hostProcesses !== containers) {
    const why =
      'If pod contains any hostProcess containers then all containers must be HostProcess containers';
    wrong.push(fieldErrors.invalid(path, '', why));
  }
  if (!spec.hostNetwork) {
    const why = 'hostNetwork must be true if pod contains any hostProcess containers';
    wrong.push(fieldErrors.invalid(path.child('hostNetwork'), false, why));
  }
  return wrong;
}
