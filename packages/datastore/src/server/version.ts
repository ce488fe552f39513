import { etcdVersion } from '../datastore.ts';

/** What `/version`, Status and clients are told: the etcd whose behaviour is implemented. */
export const serverVersion = etcdVersion;
/** Its major and minor number. */
export const storageVersion = etcdVersion.split('.').slice(0, 2).join('.');
