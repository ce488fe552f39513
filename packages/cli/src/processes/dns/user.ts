/** `nobody` and `nogroup` of every Linux distribution: the user of the dns process. */
export const dnsUid = 65534;
