-- What is large goes in steps, counts have bounds, and changes of the directory are told.
--
-- Functions whose parameters changed stay beside the new ones, for daemons of the version before.

-- Deleting. What is deleted is gone for everybody at once; its rows go in steps of a bounded size, each
-- a transaction: whoever deleted goes on, and after a crash the sweep does. One statement for all of a
-- large mailbox held the account's lock for seconds. Entries of a doomed mailbox have no mailbox:
-- whoever looks for the mailboxes of an email joins `mailboxes`.
CREATE TABLE doomed_mailboxes (
  account_id bigint NOT NULL,
  mailbox_id bigint NOT NULL,
  PRIMARY KEY (account_id, mailbox_id)
);
CREATE TABLE doomed_accounts (
  account_id bigint PRIMARY KEY
);

-- Removes up to p_limit entries of a doomed mailbox, as part of the change p_modseq, and the doom with
-- the last of them. Returns how many. The account is locked.
CREATE FUNCTION remove_doomed_entries(p_account bigint, p_mailbox bigint, p_limit bigint,
                                      p_modseq bigint, p_part integer, p_at timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_uids bigint[];
  v_emails bigint[];
BEGIN
  WITH gone AS (
    DELETE FROM mailbox_entries e
      USING (SELECT i.ctid AS place FROM mailbox_entries i
             WHERE i.account_id = p_account AND i.mailbox_id = p_mailbox
             ORDER BY i.uid LIMIT p_limit) x
      WHERE (e.account_id = p_account) IS TRUE AND e.ctid = x.place
    RETURNING e.uid, e.email_id)
  SELECT array_agg(g.uid), array_agg(g.email_id) INTO v_uids, v_emails FROM gone g;
  IF v_uids IS NOT NULL THEN
    UPDATE accounts SET email_modseq = p_modseq WHERE account_id = p_account;
    PERFORM log_change(p_account, p_modseq, p_part, 3, p_mailbox, v_uids, v_emails,
                       destroy_orphans(p_account, p_modseq, v_emails, p_at), p_at);
  END IF;
  IF coalesce(cardinality(v_uids), 0) < p_limit THEN
    DELETE FROM doomed_mailboxes WHERE account_id = p_account AND mailbox_id = p_mailbox;
  END IF;
  RETURN coalesce(cardinality(v_uids), 0);
END
$$;

-- The mailbox, and its first p_limit entries. `doomed` is its id when there may be more of them, for
-- purge_mailbox; else 0.
CREATE FUNCTION delete_mailbox(p_account bigint, p_path text[], p_limit bigint, p_at timestamptz)
RETURNS TABLE (modseq bigint, watchers text[], doomed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_id bigint := mailbox_at(p_account, p_path);
  v_removed bigint;
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
  UPDATE accounts SET modseq = v_modseq, mailbox_modseq = v_modseq WHERE account_id = p_account;
  PERFORM log_change(p_account, v_modseq, 1, 6, v_id, NULL, NULL, NULL, p_at);
  INSERT INTO doomed_mailboxes (account_id, mailbox_id) VALUES (p_account, v_id);
  v_removed := remove_doomed_entries(p_account, v_id, p_limit, v_modseq, 2, p_at);
  RETURN QUERY SELECT v_modseq, watchers_of(p_account),
                      CASE WHEN v_removed < p_limit THEN 0 ELSE v_id END;
END
$$;

CREATE OR REPLACE FUNCTION delete_mailbox(p_account bigint, p_path text[], p_at timestamptz)
RETURNS TABLE (modseq bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT d.modseq, d.watchers FROM delete_mailbox(p_account, p_path, 1000, p_at) d;
END
$$;

-- The next p_limit entries of a doomed mailbox. Fewer: it is done.
CREATE FUNCTION purge_mailbox(p_account bigint, p_mailbox bigint, p_limit bigint, p_at timestamptz)
RETURNS TABLE (modseq bigint, watchers text[], removed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_removed bigint := 0;
BEGIN
  PERFORM FROM doomed_mailboxes d WHERE d.account_id = p_account AND d.mailbox_id = p_mailbox;
  IF FOUND THEN
    v_removed := remove_doomed_entries(p_account, p_mailbox, p_limit, v_modseq, 1, p_at);
  END IF;
  IF v_removed = 0 THEN
    RETURN QUERY SELECT 0::bigint, '{}'::text[], 0::bigint;
    RETURN;
  END IF;
  UPDATE accounts SET modseq = v_modseq WHERE account_id = p_account;
  RETURN QUERY SELECT v_modseq, watchers_of(p_account), v_removed;
END
$$;

-- An account: who it is, and what one logs in with; its mail goes with purge_account. False when there
-- is none.
CREATE OR REPLACE FUNCTION remove_account(p_account bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM accounts WHERE account_id = p_account;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM account_scram WHERE account_id = p_account;
  DELETE FROM credentials WHERE account_id = p_account;
  DELETE FROM mailboxes WHERE account_id = p_account;
  DELETE FROM subscriptions WHERE account_id = p_account;
  DELETE FROM keywords WHERE account_id = p_account;
  DELETE FROM watchers WHERE account_id = p_account;
  DELETE FROM staged_blobs WHERE account_id = p_account;
  DELETE FROM doomed_mailboxes WHERE account_id = p_account;
  INSERT INTO doomed_accounts (account_id) VALUES (p_account);
  RETURN true;
END
$$;

-- Up to p_limit rows of an account that was removed. Returns how many; fewer: it is done.
CREATE FUNCTION purge_account(p_account bigint, p_limit bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_table text;
  v_rows bigint;
  v_left bigint := p_limit;
BEGIN
  PERFORM FROM doomed_accounts WHERE account_id = p_account FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  FOREACH v_table IN ARRAY ARRAY['mailbox_entries', 'emails', 'threads', 'thread_refs', 'change_log',
                                 'dead_blobs', 'blob_chunks']
  LOOP
    EXECUTE format('DELETE FROM %I WHERE ctid = ANY (ARRAY('
                   'SELECT i.ctid FROM %1$I i WHERE i.account_id = $1 LIMIT $2))', v_table)
      USING p_account, v_left;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_left := v_left - v_rows;
    EXIT WHEN v_left <= 0;
  END LOOP;
  IF v_left > 0 THEN
    DELETE FROM doomed_accounts WHERE account_id = p_account;
  END IF;
  RETURN p_limit - v_left;
END
$$;

-- What the sweep has before it, each counted up to p_max.
CREATE FUNCTION sweep_backlog(p_now timestamptz, p_dead_before timestamptz, p_max bigint)
RETURNS TABLE (staged bigint, dead bigint, mailboxes bigint, accounts bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT
    (SELECT count(*) FROM (SELECT FROM staged_blobs WHERE expires_at < p_now LIMIT p_max) s),
    (SELECT count(*) FROM (SELECT FROM dead_blobs WHERE died_at < p_dead_before LIMIT p_max) d),
    (SELECT count(*) FROM (SELECT FROM doomed_mailboxes LIMIT p_max) m),
    (SELECT count(*) FROM (SELECT FROM doomed_accounts LIMIT p_max) a);
END
$$;

-- A thousand emails that went out of one large thread read all of it a thousand times. With the blob in
-- the index each looks at one row. account_id is not its first column: of tables without statistics the
-- planner took this index as gladly as the primary key for "the email of this account and id", and read
-- the whole account for each; a COPY of 5,000 took 25 seconds.
CREATE INDEX emails_thread_blob ON emails (thread_id, account_id, blob_id);
DROP INDEX emails_thread;

CREATE OR REPLACE FUNCTION destroy_orphans(p_account bigint, p_modseq bigint, p_emails bigint[],
                                p_at timestamptz)
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
  v_count bigint;
  v_size bigint;
  v_threads bigint[];
  v_blobs bigint[];
  v_blob_threads bigint[];
BEGIN
  WITH gone AS (
    DELETE FROM emails e
      USING unnest(p_emails) u(email) CROSS JOIN LATERAL (
        SELECT i.ctid AS place FROM emails i
        WHERE i.account_id = p_account AND i.email_id = u.email AND 0 = (
          SELECT count(*) FROM mailbox_entries m
          WHERE m.account_id = p_account AND m.email_id = u.email) OFFSET 0) x
      WHERE (e.account_id = p_account) IS TRUE AND e.ctid = x.place
    RETURNING e.size, e.thread_id, e.blob_id)
  SELECT count(*), sum(size), array_agg(DISTINCT thread_id), array_agg(blob_id),
         array_agg(thread_id)
    INTO v_count, v_size, v_threads, v_blobs, v_blob_threads FROM gone;
  IF v_count = 0 THEN
    RETURN '{}';
  END IF;
  UPDATE accounts SET email_count = email_count - v_count, used_bytes = used_bytes - v_size,
         thread_modseq = p_modseq WHERE account_id = p_account;
  -- Emails with the same blob share the thread, so the index on threads finds them.
  INSERT INTO dead_blobs (account_id, blob_id, thread_id, died_at)
    SELECT p_account, b.blob, b.thread, p_at FROM unnest(v_blobs, v_blob_threads) b(blob, thread)
    WHERE (SELECT 1 FROM emails e WHERE e.account_id = p_account
             AND e.thread_id = b.thread AND e.blob_id = b.blob LIMIT 1) IS NULL
    ON CONFLICT DO NOTHING;
  DELETE FROM threads t
    USING unnest(v_threads) u(thread) CROSS JOIN LATERAL (
      SELECT i.ctid AS place FROM threads i
      WHERE i.account_id = p_account AND i.thread_id = u.thread AND (
        SELECT 1 FROM emails e
        WHERE e.account_id = p_account AND e.thread_id = u.thread LIMIT 1) IS NULL OFFSET 0) x
    WHERE (t.account_id = p_account) IS TRUE AND t.ctid = x.place;
  UPDATE threads t SET changed_modseq = p_modseq
    FROM unnest(v_threads) u(thread) CROSS JOIN LATERAL (
      SELECT i.ctid AS place FROM threads i
      WHERE i.account_id = p_account AND i.thread_id = u.thread OFFSET 0) x
    WHERE (t.account_id = p_account) IS TRUE AND t.ctid = x.place;
  RETURN v_threads;
END
$$;

-- Bounds of how many are ZG416; ZG429 is the quota.

CREATE OR REPLACE FUNCTION intern_keywords(p_account bigint, p_names text[], p_max integer)
RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
  v_new text[];
  v_next integer;
  v_ids integer[];
BEGIN
  SELECT array_agg(DISTINCT n) INTO v_new FROM (
    SELECT DISTINCT ON (lower(u COLLATE "C")) u AS n FROM unnest(p_names) u
    WHERE NOT EXISTS (SELECT FROM keywords k WHERE k.account_id = p_account
                        AND lower(k.name COLLATE "C") = lower(u COLLATE "C"))) x;
  IF v_new IS NOT NULL THEN
    UPDATE accounts SET next_keyword = next_keyword + cardinality(v_new)
      WHERE account_id = p_account RETURNING next_keyword INTO v_next;
    IF v_next - 1 > p_max THEN
      RAISE EXCEPTION 'too many keywords' USING ERRCODE = 'ZG416';
    END IF;
    INSERT INTO keywords (account_id, keyword_id, name)
      SELECT p_account, v_next - cardinality(v_new) + ord - 1, n
      FROM unnest(v_new) WITH ORDINALITY u(n, ord);
  END IF;
  SELECT coalesce(array_agg(DISTINCT keyword_id ORDER BY keyword_id), '{}') INTO v_ids
    FROM keywords WHERE account_id = p_account
      AND lower(name COLLATE "C") = ANY (SELECT lower(u COLLATE "C") FROM unnest(p_names) u);
  RETURN v_ids;
END
$$;

CREATE OR REPLACE FUNCTION make_path(p_account bigint, p_modseq bigint, p_part integer, p_path text[],
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
        RAISE EXCEPTION 'too many mailboxes' USING ERRCODE = 'ZG416';
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

-- p_max_depth and p_max_path (octets of a whole path) hold for what lies below, too. Not for INBOX,
-- which libs/store renames by a new mailbox and moves.
CREATE FUNCTION rename_mailbox(p_account bigint, p_from text[], p_to text[], p_max bigint,
                               p_max_depth bigint, p_max_path bigint, p_at timestamptz)
RETURNS TABLE (modseq bigint, mailbox_id bigint, uidvalidity bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_id bigint := mailbox_at(p_account, p_from);
  v_parent bigint := 0;
  v_depth bigint;
  v_size bigint;
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
  -- How many levels lie below, and the octets of the longest path from here.
  WITH RECURSIVE below AS (
    SELECT v_id AS id, 0 AS depth, 0 AS size
    UNION ALL
    SELECT c.mailbox_id, b.depth + 1, b.size + 1 + octet_length(c.name)
    FROM below b JOIN mailboxes c ON c.account_id = p_account AND c.parent_id = b.id)
  SELECT max(b.depth), max(b.size) INTO v_depth, v_size FROM below b;
  IF cardinality(p_to) + v_depth > p_max_depth
     OR octet_length(array_to_string(p_to, '/')) + v_size > p_max_path THEN
    RAISE EXCEPTION 'a path would be too deep or too long' USING ERRCODE = 'ZG422';
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

CREATE OR REPLACE FUNCTION rename_mailbox(p_account bigint, p_from text[], p_to text[], p_max bigint,
                                          p_at timestamptz)
RETURNS TABLE (modseq bigint, mailbox_id bigint, uidvalidity bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT * FROM rename_mailbox(p_account, p_from, p_to, p_max, 20, 1000, p_at);
END
$$;

-- By path: the mailbox need not exist.
CREATE FUNCTION set_subscribed(p_account bigint, p_path text, p_names text[], p_subscribed boolean,
                               p_max bigint, p_at timestamptz)
RETURNS TABLE (modseq bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_id bigint := mailbox_at(p_account, p_names);
BEGIN
  IF p_subscribed THEN
    INSERT INTO subscriptions (account_id, path) VALUES (p_account, p_path) ON CONFLICT DO NOTHING;
  ELSE
    DELETE FROM subscriptions WHERE account_id = p_account AND path = p_path;
  END IF;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 0::bigint, '{}'::text[];
    RETURN;
  END IF;
  IF p_subscribed AND p_max < (SELECT count(*) FROM subscriptions WHERE account_id = p_account) THEN
    RAISE EXCEPTION 'too many subscriptions' USING ERRCODE = 'ZG416';
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

CREATE OR REPLACE FUNCTION set_subscribed(p_account bigint, p_path text, p_names text[],
                                          p_subscribed boolean, p_at timestamptz)
RETURNS TABLE (modseq bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT * FROM set_subscribed(p_account, p_path, p_names, p_subscribed, 10000, p_at);
END
$$;

-- Watchers are named "daemon@host:port": whose certificate the one who hints must see.
CREATE OR REPLACE FUNCTION watchers_of(p_account bigint) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_addresses text[];
BEGIN
  SELECT coalesce(array_agg(g.daemon || '@' || g.address), '{}') INTO v_addresses
    FROM watchers w JOIN gateways g ON g.gateway_id = w.gateway_id WHERE w.account_id = p_account;
  RETURN v_addresses;
END
$$;

-- A credential that replaces another is a new one: who was let in by the old one can be told.
CREATE OR REPLACE FUNCTION set_credential(p_account bigint, p_name text, p_scopes bigint,
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
  INSERT INTO credentials VALUES (p_account, v_id, p_name, p_scopes, p_sha256_stored,
    p_sha256_server, p_sha1_stored, p_sha1_server, p_at)
  ON CONFLICT (account_id, name) DO UPDATE SET credential_id = excluded.credential_id,
    scopes = excluded.scopes, sha256_stored_key = excluded.sha256_stored_key,
    sha256_server_key = excluded.sha256_server_key, sha1_stored_key = excluded.sha1_stored_key,
    sha1_server_key = excluded.sha1_server_key, created_at = excluded.created_at;
  RETURN v_id;
END
$$;

-- What changed in the directory, for daemons that keep something of it. Numbers are given at the commit,
-- under the lock of the one row of directory_state: without gaps and in the order of the commits, so
-- that whoever has read up to a number has missed nothing below it. `at` is the database's time, for
-- the compaction only.
CREATE TABLE directory_state (
  single boolean PRIMARY KEY CHECK (single),
  last_change bigint NOT NULL
);
INSERT INTO directory_state VALUES (true, 0);
CREATE TABLE directory_changes (
  change_id bigint PRIMARY KEY,
  kind text NOT NULL,                       -- account, credential, domain, dkim-key
  account_id bigint,
  domain text,
  at timestamptz NOT NULL
);

-- The trigger's argument is the kind. Deferred to the commit: the row of directory_state is the last
-- lock that is taken.
CREATE FUNCTION note_directory_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_row record;
  v_account bigint;
  v_domain text;
  v_id bigint;
BEGIN
  IF TG_OP = 'DELETE' THEN
    v_row := OLD;
  ELSE
    v_row := NEW;
  END IF;
  IF TG_ARGV[0] IN ('account', 'credential') THEN
    v_account := v_row.account_id;
  ELSIF TG_ARGV[0] = 'domain' THEN
    v_domain := v_row.name;
  ELSE
    v_domain := v_row.domain;
  END IF;
  UPDATE directory_state SET last_change = last_change + 1 RETURNING last_change INTO v_id;
  INSERT INTO directory_changes (change_id, kind, account_id, domain, at)
    VALUES (v_id, TG_ARGV[0], v_account, v_domain, clock_timestamp());
  RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER account_disabled AFTER UPDATE OF disabled ON accounts
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (old.disabled <> new.disabled)
  EXECUTE FUNCTION note_directory_change('account');
CREATE CONSTRAINT TRIGGER account_removed AFTER DELETE ON accounts
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_directory_change('account');
CREATE CONSTRAINT TRIGGER credential_ended AFTER UPDATE OR DELETE ON credentials
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_directory_change('credential');
CREATE CONSTRAINT TRIGGER domain_changed AFTER INSERT OR UPDATE OR DELETE ON domains
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_directory_change('domain');
CREATE CONSTRAINT TRIGGER dkim_key_changed AFTER INSERT OR UPDATE OR DELETE ON dkim_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_directory_change('dkim-key');

-- Forgets changes that are older than p_keep_seconds. A reader that is further behind sees the gap.
CREATE FUNCTION compact_directory_changes(p_keep_seconds double precision)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_rows bigint;
BEGIN
  DELETE FROM directory_changes
    WHERE at < clock_timestamp() - make_interval(secs => p_keep_seconds);
  GET DIAGNOSTICS v_rows = ROW_COUNT;
  RETURN v_rows;
END
$$;

GRANT SELECT ON doomed_mailboxes, doomed_accounts TO godwit_smtp_ingress, godwit_imap_gateway,
  godwit_webmail_api, godwit_reader;
GRANT SELECT ON directory_state, directory_changes TO godwit_smtp_ingress, godwit_submission,
  godwit_imap_gateway, godwit_delivery_queue, godwit_auth_verifier, godwit_tls_policy,
  godwit_webmail_api, godwit_acme, godwit_reader;
GRANT EXECUTE ON FUNCTION delete_mailbox(bigint, text[], bigint, timestamptz),
  rename_mailbox(bigint, text[], text[], bigint, bigint, bigint, timestamptz),
  set_subscribed(bigint, text, text[], boolean, bigint, timestamptz)
  TO godwit_imap_gateway, godwit_webmail_api;
GRANT EXECUTE ON FUNCTION purge_mailbox, purge_account, sweep_backlog, compact_directory_changes
  TO godwit_smtp_ingress, godwit_imap_gateway, godwit_webmail_api;
