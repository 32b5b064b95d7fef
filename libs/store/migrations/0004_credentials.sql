-- Logging in. smtp-ingress has no right to any of these.

CREATE TABLE account_scram (
  account_id bigint PRIMARY KEY,
  sha256_salt bytea NOT NULL,
  sha256_iterations integer NOT NULL CHECK (sha256_iterations >= 4096),
  sha1_salt bytea NOT NULL,
  sha1_iterations integer NOT NULL CHECK (sha1_iterations >= 4096)
);

CREATE TABLE credentials (
  account_id bigint NOT NULL,
  credential_id bigint NOT NULL,
  name text NOT NULL,
  scopes integer NOT NULL,
  sha256_stored_key bytea NOT NULL,
  sha256_server_key bytea NOT NULL,
  sha1_stored_key bytea NOT NULL,
  sha1_server_key bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, credential_id),
  UNIQUE (account_id, name)
);

-- Keys of the installation. fake-salt: what unknown users' salts are made with; 244 random bits.
CREATE TABLE server_keys (
  name text PRIMARY KEY,
  key bytea NOT NULL
);
INSERT INTO server_keys
  VALUES ('fake-salt', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

CREATE FUNCTION set_credential(p_account bigint, p_name text, p_scopes bigint,
  p_sha256_stored bytea, p_sha256_server bytea, p_sha1_stored bytea, p_sha1_server bytea,
  p_at timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_id bigint;
BEGIN
  UPDATE accounts SET next_id = next_id + 1 WHERE account_id = p_account RETURNING next_id - 1 INTO v_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such account' USING ERRCODE = 'ZG404';
  END IF;
  INSERT INTO credentials AS c VALUES (p_account, v_id, p_name, p_scopes, p_sha256_stored,
    p_sha256_server, p_sha1_stored, p_sha1_server, p_at)
  ON CONFLICT (account_id, name) DO UPDATE SET scopes = excluded.scopes,
    sha256_stored_key = excluded.sha256_stored_key, sha256_server_key = excluded.sha256_server_key,
    sha1_stored_key = excluded.sha1_stored_key, sha1_server_key = excluded.sha1_server_key,
    created_at = excluded.created_at
  RETURNING c.credential_id INTO v_id;
  RETURN v_id;
END
$$;
