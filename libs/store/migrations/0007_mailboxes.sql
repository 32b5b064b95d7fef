-- The door for mailboxes, and watching an account. A path is an array of names.

-- The mailbox at a path, NULL when there is none.
CREATE FUNCTION mailbox_at(p_account bigint, p_path text[]) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_name text;
  v_id bigint := 0;
BEGIN
  FOREACH v_name IN ARRAY p_path LOOP
    SELECT mailbox_id INTO v_id FROM mailboxes
      WHERE account_id = p_account AND parent_id = v_id AND name = v_name;
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
  END LOOP;
  RETURN v_id;
END
$$;

-- Makes what is missing of the path and returns the last one. The account is locked. p_part is where
-- the change log's parts of this modseq begin.
CREATE FUNCTION make_path(p_account bigint, p_modseq bigint, p_part integer, p_path text[],
                          p_max bigint, p_at timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_name text;
  v_parent bigint := 0;
  v_id bigint;
  v_uidvalidity bigint;
BEGIN
  FOREACH v_name IN ARRAY p_path LOOP
    SELECT mailbox_id INTO v_id FROM mailboxes
      WHERE account_id = p_account AND parent_id = v_parent AND name = v_name;
    IF NOT FOUND THEN
      IF p_max <= (SELECT count(*) FROM mailboxes WHERE account_id = p_account) THEN
        RAISE EXCEPTION 'too many mailboxes' USING ERRCODE = 'ZG429';
      END IF;
      UPDATE accounts SET next_id = next_id + 1, next_uidvalidity = next_uidvalidity + 1
        WHERE account_id = p_account
        RETURNING next_id - 1, next_uidvalidity - 1 INTO v_id, v_uidvalidity;
      INSERT INTO mailboxes (account_id, mailbox_id, parent_id, name, role, uidvalidity,
                             highest_modseq, created_modseq, changed_modseq)
        VALUES (p_account, v_id, v_parent, v_name, '', v_uidvalidity, p_modseq, p_modseq, p_modseq);
      PERFORM log_change(p_account, p_modseq, p_part, 4, v_id, NULL, NULL, NULL, p_at);
      p_part := p_part + 1;
    END IF;
    v_parent := v_id;
  END LOOP;
  RETURN v_parent;
END
$$;

CREATE FUNCTION create_mailbox(p_account bigint, p_path text[], p_role text, p_max bigint,
                               p_at timestamptz)
RETURNS TABLE (modseq bigint, mailbox_id bigint, uidvalidity bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_id bigint;
BEGIN
  IF mailbox_at(p_account, p_path) IS NOT NULL THEN
    RAISE EXCEPTION 'mailbox exists' USING ERRCODE = 'ZG409';
  END IF;
  v_id := make_path(p_account, v_modseq, 1, p_path, p_max, p_at);
  IF p_role <> '' THEN
    UPDATE mailboxes m SET role = p_role WHERE m.account_id = p_account AND m.mailbox_id = v_id;
  END IF;
  UPDATE accounts SET modseq = v_modseq, mailbox_modseq = v_modseq WHERE account_id = p_account;
  RETURN QUERY SELECT v_modseq, v_id, m.uidvalidity, watchers_of(p_account)
    FROM mailboxes m WHERE m.account_id = p_account AND m.mailbox_id = v_id;
END
$$;

-- Not for INBOX, which libs/store renames by a new mailbox and a move.
CREATE FUNCTION rename_mailbox(p_account bigint, p_from text[], p_to text[], p_max bigint,
                               p_at timestamptz)
RETURNS TABLE (modseq bigint, mailbox_id bigint, uidvalidity bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_id bigint := mailbox_at(p_account, p_from);
  v_parent bigint := 0;
BEGIN
  IF v_id IS NULL THEN
    RAISE EXCEPTION 'no such mailbox' USING ERRCODE = 'ZG404';
  END IF;
  IF mailbox_at(p_account, p_to) IS NOT NULL THEN
    RAISE EXCEPTION 'mailbox exists' USING ERRCODE = 'ZG409';
  END IF;
  IF cardinality(p_to) > cardinality(p_from) AND p_to[1:cardinality(p_from)] = p_from THEN
    RAISE EXCEPTION 'a mailbox can not move below itself' USING ERRCODE = 'ZG412';
  END IF;
  IF cardinality(p_to) > 1 THEN
    v_parent := make_path(p_account, v_modseq, 2, p_to[1:cardinality(p_to) - 1], p_max, p_at);
  END IF;
  UPDATE mailboxes m SET parent_id = v_parent, name = p_to[cardinality(p_to)],
         changed_modseq = v_modseq
    WHERE m.account_id = p_account AND m.mailbox_id = v_id;
  PERFORM log_change(p_account, v_modseq, 1, 5, v_id, NULL, NULL, NULL, p_at);
  UPDATE accounts SET modseq = v_modseq, mailbox_modseq = v_modseq WHERE account_id = p_account;
  RETURN QUERY SELECT v_modseq, v_id, m.uidvalidity, watchers_of(p_account)
    FROM mailboxes m WHERE m.account_id = p_account AND m.mailbox_id = v_id;
END
$$;

CREATE FUNCTION delete_mailbox(p_account bigint, p_path text[], p_at timestamptz)
RETURNS TABLE (modseq bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_id bigint := mailbox_at(p_account, p_path);
  v_uids bigint[];
  v_emails bigint[];
BEGIN
  IF v_id IS NULL THEN
    RAISE EXCEPTION 'no such mailbox' USING ERRCODE = 'ZG404';
  END IF;
  IF EXISTS (SELECT FROM mailboxes m WHERE m.account_id = p_account AND m.mailbox_id = v_id
               AND m.role = 'inbox') THEN
    RAISE EXCEPTION 'INBOX can not be removed' USING ERRCODE = 'ZG412';
  END IF;
  IF EXISTS (SELECT FROM mailboxes m WHERE m.account_id = p_account AND m.parent_id = v_id) THEN
    RAISE EXCEPTION 'mailbox has children' USING ERRCODE = 'ZG412';
  END IF;
  DELETE FROM mailboxes m WHERE m.account_id = p_account AND m.mailbox_id = v_id;
  WITH gone AS (DELETE FROM mailbox_entries e WHERE e.account_id = p_account AND e.mailbox_id = v_id
                RETURNING e.uid, e.email_id)
  SELECT array_agg(g.uid), array_agg(g.email_id) INTO v_uids, v_emails FROM gone g;
  UPDATE accounts SET modseq = v_modseq, mailbox_modseq = v_modseq,
         email_modseq = CASE WHEN v_uids IS NULL THEN email_modseq ELSE v_modseq END
    WHERE account_id = p_account;
  PERFORM log_change(p_account, v_modseq, 1, 6, v_id, v_uids, v_emails,
                     destroy_orphans(p_account, v_modseq, v_emails, p_at), p_at);
  RETURN QUERY SELECT v_modseq, watchers_of(p_account);
END
$$;

-- By path: the mailbox need not exist.
CREATE FUNCTION set_subscribed(p_account bigint, p_path text, p_names text[], p_subscribed boolean,
                               p_at timestamptz)
RETURNS TABLE (modseq bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_id bigint := mailbox_at(p_account, p_names);
BEGIN
  IF p_subscribed THEN
    INSERT INTO subscriptions VALUES (p_account, p_path) ON CONFLICT DO NOTHING;
  ELSE
    DELETE FROM subscriptions WHERE account_id = p_account AND path = p_path;
  END IF;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 0::bigint, '{}'::text[];
    RETURN;
  END IF;
  UPDATE accounts SET modseq = v_modseq, mailbox_modseq = v_modseq WHERE account_id = p_account;
  IF v_id IS NOT NULL THEN
    UPDATE mailboxes m SET changed_modseq = v_modseq
      WHERE m.account_id = p_account AND m.mailbox_id = v_id;
    PERFORM log_change(p_account, v_modseq, 1, 5, v_id, NULL, NULL, NULL, p_at);
  END IF;
  RETURN QUERY SELECT v_modseq, watchers_of(p_account);
END
$$;

-- Taking the account's lock orders the registration with every change: those that committed before are
-- in the modseq returned, those that come after read the watchers after they have the lock.
CREATE FUNCTION watch_account(p_account bigint, p_gateway bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_modseq bigint := lock_account(p_account) - 1;
BEGIN
  -- The watcher's row does not survive a crash anyway: no flush for it.
  PERFORM set_config('synchronous_commit', 'off', true);
  -- FOR KEY SHARE: the gateway can not be swept between the look and our commit.
  PERFORM FROM gateways WHERE gateway_id = p_gateway FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'gateway is not registered' USING ERRCODE = 'ZG412';
  END IF;
  INSERT INTO watchers VALUES (p_account, p_gateway) ON CONFLICT DO NOTHING;
  RETURN v_modseq;
END
$$;

-- Keeps the registration and removes gateways that have been silent. False: there is none to keep.
CREATE FUNCTION beat_gateway(p_gateway bigint, p_stale_seconds double precision) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_gone bigint[];
BEGIN
  UPDATE gateways SET beat_at = clock_timestamp() WHERE gateway_id = p_gateway;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  WITH gone AS (
    DELETE FROM gateways WHERE gateway_id IN (
      SELECT gateway_id FROM gateways
      WHERE beat_at < clock_timestamp() - make_interval(secs => p_stale_seconds)
      FOR UPDATE SKIP LOCKED)
    RETURNING gateway_id)
  SELECT array_agg(gateway_id) INTO v_gone FROM gone;
  DELETE FROM watchers WHERE gateway_id = ANY (v_gone);
  RETURN true;
END
$$;

-- Two statements: a registration that we waited for has left a watcher, which only the second one sees.
CREATE FUNCTION unregister_gateway(p_gateway bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM gateways WHERE gateway_id = p_gateway;
  DELETE FROM watchers WHERE gateway_id = p_gateway;
END
$$;
