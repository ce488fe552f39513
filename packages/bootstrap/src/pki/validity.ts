export const dayMs = 24 * 3600 * 1000;
/** kubeadm: CertificateValidityPeriod. */
export const leafValidityMs = 365 * dayMs;
/** kubeadm: CACertificateValidityPeriod. */
export const caValidityMs = 10 * 365 * dayMs;
/** CAs begin a little earlier, for machines whose clock is behind (kubeadm: CertificateBackdate). */
export const backdateMs = 5 * 60 * 1000;
