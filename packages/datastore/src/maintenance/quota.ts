/** etcd's --quota-backend-bytes (server/storage/quota.go, DefaultQuotaBytes). */
export const defaultQuotaBytes = 2 * 1024 * 1024 * 1024;
