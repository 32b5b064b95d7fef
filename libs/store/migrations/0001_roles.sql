-- Roles: an owner that nobody logs in as, one role a daemon, and one that may read everything.
-- Roles belong to the whole cluster, so they may be there already, made by an operator or by another
-- database of the same cluster at this moment.
DO $$
DECLARE
  v_role text;
BEGIN
  FOREACH v_role IN ARRAY ARRAY['godwit', 'godwit_smtp_ingress', 'godwit_submission',
    'godwit_imap_gateway', 'godwit_delivery_queue', 'godwit_auth_verifier', 'godwit_tls_policy',
    'godwit_webmail_api', 'godwit_acme', 'godwit_reader']
  LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = v_role) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I %s', v_role,
                       CASE WHEN v_role = 'godwit' THEN 'NOLOGIN' ELSE 'LOGIN' END);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
      END;
    END IF;
  END LOOP;
  IF current_user <> 'godwit' THEN
    -- A CREATEROLE user that is no superuser has to be a member to hand the schema over.
    IF NOT pg_has_role(current_user, 'godwit', 'MEMBER') THEN
      EXECUTE format('GRANT godwit TO %I', current_user);
    END IF;
    ALTER SCHEMA public OWNER TO godwit;
  END IF;
END
$$;

-- What was applied. The runner reads and writes it.
CREATE TABLE schema_versions (
  version integer PRIMARY KEY,
  name text NOT NULL,
  sha256 text NOT NULL
);
DO $$
BEGIN
  IF current_user <> 'godwit' THEN
    ALTER TABLE schema_versions OWNER TO godwit;
  END IF;
END
$$;
