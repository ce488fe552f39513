// Debian's etcd and etcdctl 3.4, when nobody names others: see etcdctl.ts.
import './etcdctl.ts';
