import { type Case, changeSpec, create, createSpec, type Sample } from './case.ts';

const certificate: Sample = {
  apiVersion: 'cert-manager.io/v1',
  kind: 'Certificate',
  plural: 'certificates',
  spec: { secretName: 'web-tls', issuerRef: { name: 'ca' }, dnsNames: ['web.example.com'] },
};
const issuer: Sample = { ...certificate, kind: 'Issuer', plural: 'issuers', spec: { selfSigned: {} } };
const clusterIssuer: Sample = {
  ...issuer,
  kind: 'ClusterIssuer',
  plural: 'clusterissuers',
  namespaced: false,
};
const request: Sample = {
  ...certificate,
  kind: 'CertificateRequest',
  plural: 'certificaterequests',
  spec: { request: 'LS0tLS1CRUdJTg==', issuerRef: { name: 'ca' } },
};
const order: Sample = {
  apiVersion: 'acme.cert-manager.io/v1',
  kind: 'Order',
  plural: 'orders',
  spec: { request: 'LS0tLS1CRUdJTg==', issuerRef: { name: 'acme' }, dnsNames: ['a.example.com'] },
};
const challenge: Sample = {
  ...order,
  kind: 'Challenge',
  plural: 'challenges',
  spec: {
    authorizationURL: 'https://acme.example.com/authz/1',
    dnsName: 'a.example.com',
    issuerRef: { name: 'acme' },
    key: 'key',
    solver: { http01: { ingress: { ingressClassName: 'nginx' } } },
    token: 'token',
    type: 'HTTP-01',
    url: 'https://acme.example.com/chall/1',
  },
};
const acme = {
  server: 'https://acme.example.com/directory',
  privateKeySecretRef: { name: 'account' },
  solvers: [
    {
      http01: {
        ingress: {
          ingressClassName: 'nginx',
          podTemplate: {
            spec: {
              tolerations: [{ key: 'a', operator: 'Exists' }],
              nodeSelector: { 'kubernetes.io/os': 'linux' },
            },
          },
        },
      },
    },
  ],
};

export const cases: readonly Case[] = [
  createSpec('a certificate', certificate),
  createSpec('a certificate by many fields', certificate, {
    duration: '2160h0m0s',
    isCA: true,
    keystores: { pkcs12: { create: true, passwordSecretRef: { name: 'p', key: 'k' } } },
    privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
    subject: { organizations: ['Example'] },
    usages: ['digital signature', 'key encipherment', 'server auth'],
  }),
  createSpec('an issuer that signs itself', issuer),
  createSpec('an issuer of ACME', issuer, { selfSigned: null, acme }),
  createSpec('an issuer of Vault', issuer, {
    selfSigned: null,
    vault: {
      path: 'pki/sign/web',
      server: 'https://vault',
      auth: { tokenSecretRef: { name: 't', key: 'token' } },
    },
  }),
  createSpec('a cluster issuer', clusterIssuer, { selfSigned: null, ca: { secretName: 'ca' } }),
  createSpec('a request', request),
  createSpec('an order', order),
  createSpec('a challenge', challenge),
  createSpec('unknown fields are dropped at every depth', issuer, {
    selfSigned: null,
    color: 'blue',
    acme: { ...acme, unknown: { a: 1 } },
  }),
  {
    title: 'a strict creation names unknown fields',
    of: certificate,
    steps: [{ do: 'create', strict: true, with: { spec: { issuerRef: { color: 'blue' }, nope: 1 } } }],
  },
  {
    title: 'columns by conditions',
    of: certificate,
    steps: [
      { do: 'create' },
      {
        do: 'status',
        with: {
          status: {
            conditions: [
              { type: 'Issuing', status: 'False', message: 'idle', reason: 'x' },
              { type: 'Ready', status: 'True', message: 'up to date', reason: 'Ready' },
            ],
          },
        },
      },
      { do: 'table' },
    ],
  },
  {
    title: 'a status with a condition that lacks its type',
    of: certificate,
    steps: [{ do: 'create' }, { do: 'status', with: { status: { conditions: [{ status: 'True' }] } } }],
  },
  {
    title: 'a status with the same condition twice',
    of: certificate,
    steps: [
      { do: 'create' },
      {
        do: 'status',
        with: {
          status: {
            conditions: [
              { type: 'Ready', status: 'True' },
              { type: 'Ready', status: 'False' },
            ],
          },
        },
      },
    ],
  },
  createSpec('a certificate without secret', certificate, { secretName: null }),
  createSpec('a certificate without issuer and secret', certificate, { secretName: null, issuerRef: null }),
  createSpec('a certificate whose issuer has no name', certificate, { issuerRef: { name: null } }),
  createSpec('a certificate with an unknown key', certificate, { privateKey: { algorithm: 'DSA' } }),
  createSpec('a certificate with unknown usages', certificate, {
    usages: ['digital signature', 'magic', 'luck'],
  }),
  createSpec('a certificate whose names are a text', certificate, { dnsNames: 'web.example.com' }),
  createSpec('a certificate with a format without type', certificate, { additionalOutputFormats: [{}] }),
  createSpec('a certificate whose keystore does not say whether to create it', certificate, {
    keystores: { jks: { passwordSecretRef: { name: 'p' } } },
  }),
  createSpec('a certificate whose history is a fraction', certificate, { revisionHistoryLimit: 1.5 }),
  createSpec('a certificate whose history is beyond 32 bits', certificate, {
    revisionHistoryLimit: 4294967296,
  }),
  create('an issuer without spec', issuer, { spec: null }),
  createSpec('an issuer of Vault without anything', issuer, { selfSigned: null, vault: {} }),
  createSpec('an issuer of ACME with a chain that is too long', issuer, {
    selfSigned: null,
    acme: { ...acme, preferredChain: 'x'.repeat(65) },
  }),
  createSpec('an issuer of Venafi of two kinds', issuer, {
    selfSigned: null,
    venafi: {
      zone: 'z',
      tpp: { url: 'https://tpp', credentialsRef: { name: 'c' } },
      cloud: { apiTokenSecretRef: { name: 'c' } },
    },
  }),
  createSpec('a request that is not base64', request, { request: '***' }),
  changeSpec('a request stays what it was', request, { request: 'LS0tLS1DSEFOR0VE' }),
  createSpec('a challenge of an unknown type', challenge, { type: 'MAIL-01' }),
  changeSpec('an order stays what it was', order, { dnsNames: ['b.example.com'] }),
];
