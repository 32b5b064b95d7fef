-- Certificates: the authorities of our own and what they have signed. All of it is acme's; nobody
-- else reads a private key.

CREATE TABLE certificate_authorities (
  name text PRIMARY KEY,                    -- 'public' for what clients see, 'rpc' for the daemons
  certificate_pem text NOT NULL,
  private_key bytea NOT NULL,               -- PKCS #8 in PEM
  created_at timestamptz NOT NULL
);

CREATE TABLE certificates (
  kind text NOT NULL CHECK (kind IN ('public', 'rpc')),
  name text NOT NULL,                       -- of a daemon when kind is 'rpc'
  names text[] NOT NULL,                    -- in the certificate
  chain_pem text NOT NULL DEFAULT '',       -- leaf first; '' while the first one fails
  private_key bytea NOT NULL DEFAULT '',    -- PKCS #8 in PEM
  serial text NOT NULL DEFAULT '',
  public_key_sha256 bytea NOT NULL DEFAULT '',
  not_before timestamptz NOT NULL,
  not_after timestamptz NOT NULL,
  renew_at timestamptz NOT NULL,
  last_error text NOT NULL DEFAULT '',      -- of the last attempt; '' when that succeeded
  last_error_at timestamptz,
  PRIMARY KEY (kind, name)
);

-- One row. Whoever makes or renews locks it first, so that of several replicas one does; the version
-- grows with every change, and tells the others.
CREATE TABLE certificate_state (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  version bigint NOT NULL
);
INSERT INTO certificate_state (version) VALUES (1);

GRANT SELECT, INSERT ON certificate_authorities TO godwit_acme;
GRANT SELECT, INSERT, UPDATE, DELETE ON certificates TO godwit_acme;
GRANT SELECT, UPDATE ON certificate_state TO godwit_acme;
GRANT SELECT (name, certificate_pem, created_at) ON certificate_authorities TO godwit_reader;
GRANT SELECT (kind, name, names, chain_pem, serial, public_key_sha256, not_before, not_after,
  renew_at, last_error, last_error_at) ON certificates TO godwit_reader;
GRANT SELECT ON certificate_state TO godwit_reader;
