/** Projected volumes (upstream: validateProjectionSources). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  ClusterTrustBundleProjection,
  PodCertificateProjection,
  ProjectedVolumeSource,
  VolumeProjection,
} from '@cloudless/kube/types/core-v1';
import { invalidEach, required } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { nameIsDnsSubdomain } from '../../validation/names.ts';
import { validateSignerName } from '../certificates/signer-name.ts';
import { fileMode, nonReservedPath } from './paths.ts';
import { validateDownwardFile, validateKeyToPath } from './validate-volumes.ts';

/** Paths that sources have written so far; the same one twice is refused at the volume's own path. */
type Claim = (target: string | undefined, shown: string) => FieldError[];

const keyTypes = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519'];

function validateItems(
  source: NonNullable<VolumeProjection['secret'] | VolumeProjection['configMap']>,
  path: FieldPath,
  claim: Claim,
): FieldError[] {
  const wrong = required(source.name, path.child('name'));
  source.items?.forEach((item, i) => {
    wrong.push(
      ...validateKeyToPath(item, path.child('items').index(i)),
      ...claim(item.path, source.name ?? ''),
    );
  });
  return wrong;
}

function validateToken(
  token: NonNullable<VolumeProjection['serviceAccountToken']>,
  path: FieldPath,
  volumePath: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const seconds = token.expirationSeconds ?? 0;
  const at = path.child('expirationSeconds');
  if (seconds < 600) {
    wrong.push(fieldErrors.invalid(at, seconds, 'may not specify a duration less than 10 minutes'));
  }
  if (seconds > 2 ** 32) {
    wrong.push(fieldErrors.invalid(at, seconds, 'may not specify a duration larger than 2^32 seconds'));
  }
  // Upstream reports these at the volume, not at the source.
  if (!token.path) wrong.push(fieldErrors.required(volumePath.child('path')));
  else wrong.push(...nonReservedPath(token.path, volumePath.child('path')));
  return wrong;
}

/** `example.com/foo` → names start with `example.com:foo:`; without a signer they have no colon. */
function trustBundleNameErrors(name: string): string[] {
  const parts = name.split(':');
  if (parts.length === 1) return nameIsDnsSubdomain(name);
  const signer = `${parts[0]}/${parts[1]}`;
  const prefix = `${parts[0]}:${parts[1]}:`;
  if (parts.length < 3) {
    return [`ClusterTrustBundle for signerName ${signer} must be named with prefix ${prefix}`];
  }
  return nameIsDnsSubdomain(name.slice(prefix.length));
}

function validateTrustBundle(
  bundle: ClusterTrustBundleProjection,
  path: FieldPath,
  claim: Claim,
): FieldError[] {
  const wrong: FieldError[] = [];
  if (bundle.name != null && bundle.signerName != null) {
    wrong.push(fieldErrors.invalid(path, bundle, 'only one of name and signerName may be used'));
  } else if (bundle.name != null) {
    const at = path.child('name');
    if (bundle.name === '') wrong.push(fieldErrors.required(at, 'must be a valid object name'));
    const texts = trustBundleNameErrors(bundle.name);
    wrong.push(
      ...invalidEach(
        at,
        bundle.name,
        texts.map((text) => `not a valid clustertrustbundlename: ${text}`),
      ),
    );
    if (bundle.labelSelector) {
      const text = 'labelSelector must be unset if name is specified';
      wrong.push(fieldErrors.invalid(path.child('labelSelector'), bundle.labelSelector, text));
    }
  } else if (bundle.signerName != null) {
    const at = path.child('signerName');
    if (bundle.signerName === '') wrong.push(fieldErrors.required(at, 'must be a valid signer name'));
    wrong.push(
      ...validateSignerName(bundle.signerName, at),
      ...validateLabelSelector(bundle.labelSelector, path.child('labelSelector')),
    );
  } else wrong.push(fieldErrors.required(path, 'either name or signerName must be specified'));
  return [
    ...wrong,
    ...required(bundle.path, path.child('path')),
    ...nonReservedPath(bundle.path ?? '', path.child('path')),
    ...claim(bundle.path, bundle.path ?? ''),
  ];
}

function validateCertificate(
  certificate: PodCertificateProjection,
  path: FieldPath,
  claim: Claim,
): FieldError[] {
  const wrong = validateSignerName(certificate.signerName ?? '', path.child('signerName'));
  if (!keyTypes.includes(certificate.keyType)) {
    wrong.push(fieldErrors.notSupported(path.child('keyType'), certificate.keyType ?? '', keyTypes));
  }
  const seconds = certificate.maxExpirationSeconds;
  if (seconds != null) {
    const at = path.child('maxExpirationSeconds');
    const isKubernetes = /(^|\.)kubernetes\.io\//.test(certificate.signerName ?? '');
    const max = isKubernetes ? 86_400 : 91 * 86_400;
    if (seconds < 3600) {
      wrong.push(fieldErrors.invalid(at, seconds, 'if provided, maxExpirationSeconds must be >= 3600'));
    }
    if (seconds > max) {
      wrong.push(fieldErrors.invalid(at, seconds, `if provided, maxExpirationSeconds must be <= ${max}`));
    }
  }
  const paths = ['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const;
  for (const name of paths) {
    const target = certificate[name];
    if (target) wrong.push(...nonReservedPath(target, path.child(name)), ...claim(target, target));
  }
  if (!paths.some((name) => certificate[name])) {
    const text = 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath';
    wrong.push(fieldErrors.required(path, text));
  }
  return wrong;
}

export function validateProjected(projected: ProjectedVolumeSource, path: FieldPath): FieldError[] {
  const claimed = new Set<string>();
  const claim: Claim = (target, shown) => {
    if (!target) return [];
    if (claimed.has(target)) return [fieldErrors.invalid(path, shown, 'conflicting duplicate paths')];
    claimed.add(target);
    return [];
  };
  const wrong = fileMode(projected.defaultMode, path.child('defaultMode'));
  projected.sources?.forEach((source, i) => {
    const at = path.child('sources').index(i);
    if (source.secret) wrong.push(...validateItems(source.secret, at.child('secret'), claim));
    if (source.configMap) wrong.push(...validateItems(source.configMap, at.child('configMap'), claim));
    for (const file of source.downwardAPI?.items ?? []) {
      wrong.push(
        ...validateDownwardFile(file, at.child('downwardAPI')),
        ...claim(file.path, file.path ?? ''),
      );
    }
    if (source.serviceAccountToken) {
      wrong.push(...validateToken(source.serviceAccountToken, at.child('serviceAccountToken'), path));
    }
    if (source.clusterTrustBundle) {
      wrong.push(...validateTrustBundle(source.clusterTrustBundle, at.child('clusterTrustBundle'), claim));
    }
    if (source.podCertificate) {
      wrong.push(...validateCertificate(source.podCertificate, at.child('podCertificate'), claim));
    }
    if (Object.values(source).filter((value) => value != null).length > 1) {
      wrong.push(fieldErrors.forbidden(at, 'may not specify more than 1 volume type per source'));
    }
  });
  return wrong;
}
