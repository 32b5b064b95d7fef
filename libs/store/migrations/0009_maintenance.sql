-- Background work.

-- Removes expired staged blobs and dead ones with their chunks. Returns how many. The rows are locked
-- first and the chunks read after that: a chunk may have come while we waited. What an email has is
-- left alone, whatever the lists say: a header (chunk 0) under a staged body, an email in the thread of
-- a dead one.
CREATE FUNCTION sweep_blobs(p_now timestamptz, p_dead_before timestamptz, p_limit bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_accounts bigint[];
  v_blobs bigint[];
  v_dead_accounts bigint[];
  v_dead_blobs bigint[];
BEGIN
  SELECT array_agg(account_id), array_agg(blob_id) INTO v_accounts, v_blobs FROM (
    SELECT account_id, blob_id FROM staged_blobs WHERE expires_at < p_now
      ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED) s;
  DELETE FROM staged_blobs s USING unnest(v_accounts, v_blobs) o(account, blob)
    WHERE s.account_id = o.account AND s.blob_id = o.blob;
  DELETE FROM blob_chunks c USING unnest(v_accounts, v_blobs) o(account, blob)
    WHERE c.account_id = o.account AND c.blob_id = o.blob AND NOT EXISTS (
      SELECT FROM blob_chunks h WHERE h.account_id = o.account AND h.blob_id = o.blob AND h.seq = 0);

  SELECT array_agg(account_id), array_agg(blob_id) INTO v_dead_accounts, v_dead_blobs FROM (
    SELECT account_id, blob_id FROM dead_blobs WHERE died_at < p_dead_before
      ORDER BY died_at LIMIT p_limit FOR UPDATE SKIP LOCKED) d;
  DELETE FROM blob_chunks c
    USING unnest(v_dead_accounts, v_dead_blobs) o(account, blob), dead_blobs d
    WHERE d.account_id = o.account AND d.blob_id = o.blob
      AND c.account_id = o.account AND c.blob_id = o.blob AND NOT EXISTS (
        SELECT FROM emails e WHERE e.account_id = o.account AND e.thread_id = d.thread_id
          AND e.blob_id = o.blob);
  DELETE FROM dead_blobs d USING unnest(v_dead_accounts, v_dead_blobs) o(account, blob)
    WHERE d.account_id = o.account AND d.blob_id = o.blob;
  RETURN coalesce(cardinality(v_blobs), 0) + coalesce(cardinality(v_dead_blobs), 0);
END
$$;

-- Forgets the change log from before p_before and raises the floor to what is gone. Message ids of
-- threads that are gone go, too.
CREATE FUNCTION compact_change_log(p_account bigint, p_before timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_floor bigint;
  v_rows bigint;
BEGIN
  PERFORM lock_account(p_account);
  SELECT max(modseq) INTO v_floor FROM change_log WHERE account_id = p_account AND at < p_before;
  IF v_floor IS NULL THEN
    RETURN 0;
  END IF;
  DELETE FROM change_log WHERE account_id = p_account AND modseq <= v_floor;
  GET DIAGNOSTICS v_rows = ROW_COUNT;
  UPDATE accounts SET change_floor = greatest(change_floor, v_floor) WHERE account_id = p_account;
  DELETE FROM thread_refs r WHERE r.account_id = p_account AND NOT EXISTS (
    SELECT FROM threads t WHERE t.account_id = p_account AND t.thread_id = r.thread_id);
  RETURN v_rows;
END
$$;

-- After a restore: everything that clients may have seen since then lies below what comes now.
CREATE FUNCTION mark_restored() RETURNS TABLE (accounts_done bigint, messages_held bigint)
LANGUAGE plpgsql AS $$
DECLARE
  v_accounts bigint;
  v_held bigint;
BEGIN
  PERFORM FROM accounts ORDER BY account_id FOR NO KEY UPDATE;
  UPDATE mailboxes SET uidnext = uidnext + 1000000,
         highest_modseq = (SELECT a.modseq FROM accounts a
                           WHERE a.account_id = mailboxes.account_id) + 1000000000,
         changed_modseq = (SELECT a.modseq FROM accounts a
                           WHERE a.account_id = mailboxes.account_id) + 1000000000;
  DELETE FROM change_log;
  UPDATE accounts SET modseq = modseq + 1000000000, change_floor = modseq + 1000000000,
         mailbox_modseq = modseq + 1000000000, email_modseq = modseq + 1000000000,
         thread_modseq = modseq + 1000000000, submission_modseq = modseq + 1000000000,
         identity_modseq = modseq + 1000000000, next_id = next_id + 1000000000,
         next_uidvalidity = next_uidvalidity + 100000;
  GET DIAGNOSTICS v_accounts = ROW_COUNT;
  UPDATE queue_messages SET hold = true, hold_reason = 'restored' WHERE NOT hold;
  GET DIAGNOSTICS v_held = ROW_COUNT;
  UPDATE queue_shards SET epoch = epoch + 1000000, worker = NULL, expires_at = NULL;
  RETURN QUERY SELECT v_accounts, v_held;
END
$$;

-- An account with its first mailboxes: parallel arrays of names and roles.
CREATE FUNCTION create_account(p_account bigint, p_name text, p_names text[], p_roles text[],
                               p_at timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_uidvalidity bigint := extract(epoch FROM p_at)::bigint;
BEGIN
  INSERT INTO accounts (account_id, name, next_id, next_uidvalidity, created_at)
    VALUES (p_account, p_name, cardinality(p_names) + 1, v_uidvalidity + cardinality(p_names), p_at);
  INSERT INTO mailboxes (account_id, mailbox_id, parent_id, name, role, uidvalidity, highest_modseq,
                         created_modseq, changed_modseq)
    SELECT p_account, ord, 0, name, role, v_uidvalidity + ord - 1, 1, 1, 1
    FROM unnest(p_names, p_roles) WITH ORDINALITY u(name, role, ord);
  INSERT INTO subscriptions SELECT p_account, unnest(p_names);
END
$$;

-- Everything an account has. False when there is none.
CREATE FUNCTION remove_account(p_account bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM accounts WHERE account_id = p_account;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM account_scram WHERE account_id = p_account;
  DELETE FROM credentials WHERE account_id = p_account;
  DELETE FROM mailbox_entries WHERE account_id = p_account;
  DELETE FROM mailboxes WHERE account_id = p_account;
  DELETE FROM subscriptions WHERE account_id = p_account;
  DELETE FROM emails WHERE account_id = p_account;
  DELETE FROM threads WHERE account_id = p_account;
  DELETE FROM thread_refs WHERE account_id = p_account;
  DELETE FROM keywords WHERE account_id = p_account;
  DELETE FROM change_log WHERE account_id = p_account;
  DELETE FROM watchers WHERE account_id = p_account;
  DELETE FROM staged_blobs WHERE account_id = p_account;
  DELETE FROM dead_blobs WHERE account_id = p_account;
  DELETE FROM blob_chunks WHERE account_id = p_account;
  RETURN true;
END
$$;
