-- The directory: small, and replicated to every shard of a sharded store.

ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE TABLE domains (
  name text PRIMARY KEY,                    -- lower case, A-labels
  disabled boolean NOT NULL DEFAULT false,
  separator text NOT NULL DEFAULT '+',      -- of tags; '' for none
  catch_all_account bigint,
  postmaster_account bigint,
  created_at timestamptz NOT NULL
);

CREATE TABLE aliases (
  alias_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  public_posting boolean NOT NULL,          -- false: only members may send to it
  created_at timestamptz NOT NULL
);

-- Every local part that exists: an account's or an alias's.
CREATE TABLE addresses (
  domain text NOT NULL REFERENCES domains,
  local_part text NOT NULL,                 -- lower case, unquoted
  account_id bigint,
  alias_id bigint REFERENCES aliases ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (domain, local_part),
  CHECK (num_nonnulls(account_id, alias_id) = 1)
);
CREATE INDEX addresses_account ON addresses (account_id);
CREATE INDEX addresses_alias ON addresses (alias_id);

-- Members are addresses, ours or others'.
CREATE TABLE alias_members (
  alias_id bigint NOT NULL REFERENCES aliases ON DELETE CASCADE,
  domain text NOT NULL,
  local_part text NOT NULL,
  PRIMARY KEY (alias_id, domain, local_part)
);
CREATE INDEX alias_members_address ON alias_members (domain, local_part);

CREATE TABLE admins (
  account_id bigint PRIMARY KEY,
  created_at timestamptz NOT NULL
);

-- Installation-wide values that change at run time; `postmaster` is an account id.
CREATE TABLE settings (
  name text PRIMARY KEY,
  value text NOT NULL
);

-- Signing keys. Only auth-verifier reads the private half.
CREATE TABLE dkim_keys (
  domain text NOT NULL REFERENCES domains ON DELETE CASCADE,
  selector text NOT NULL,
  algorithm text NOT NULL CHECK (algorithm IN ('rsa-sha256', 'ed25519-sha256')),
  private_key bytea NOT NULL,
  public_key bytea NOT NULL,
  active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (domain, selector)
);
