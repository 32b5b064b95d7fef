-- The door for entries: flags, copies, moves, expunges. Each function locks the account first; what it
-- reads after that is what the transactions before it have committed.
--
-- LATERAL with OFFSET 0 keeps the order: each range, then its entries by index. The planner knows
-- nothing about the arrays and would read the whole mailbox, trying each entry on each range. Rows that
-- change are then found by their place (ctid), which is good as long as the account is locked;
-- "(account_id = ...) IS TRUE" holds the account to it without offering an index to scan instead.

-- Locks the account and returns the modseq of the change that is about to be made.
CREATE FUNCTION lock_account(p_account bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_modseq bigint;
BEGIN
  SELECT modseq + 1 INTO v_modseq FROM accounts WHERE account_id = p_account FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such account' USING ERRCODE = 'ZG404';
  END IF;
  RETURN v_modseq;
END
$$;

CREATE FUNCTION log_change(p_account bigint, p_modseq bigint, p_part integer, p_kind integer,
  p_mailbox bigint, p_uids bigint[], p_emails bigint[], p_threads bigint[], p_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO change_log (account_id, modseq, part, kind, mailbox_id, uids, email_ids, thread_ids, at)
  VALUES (p_account, p_modseq, p_part, p_kind, p_mailbox,
          (SELECT range_agg(int8range(u, u, '[]')) FROM unnest(p_uids) u), p_emails, p_threads, p_at);
END
$$;

-- Removes those of the emails that lie in no mailbox any more, with the account's and the threads'
-- counts; their octets are left to the sweep. Returns the threads touched.
CREATE FUNCTION destroy_orphans(p_account bigint, p_modseq bigint, p_emails bigint[],
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
    WHERE 0 = (SELECT count(*) FROM emails e WHERE e.account_id = p_account
                 AND e.thread_id = b.thread AND e.blob_id = b.blob)
    ON CONFLICT DO NOTHING;
  DELETE FROM threads t
    USING unnest(v_threads) u(thread) CROSS JOIN LATERAL (
      SELECT i.ctid AS place FROM threads i
      WHERE i.account_id = p_account AND i.thread_id = u.thread AND 0 = (
        SELECT count(*) FROM emails e
        WHERE e.account_id = p_account AND e.thread_id = u.thread) OFFSET 0) x
    WHERE (t.account_id = p_account) IS TRUE AND t.ctid = x.place;
  UPDATE threads t SET changed_modseq = p_modseq
    FROM unnest(v_threads) u(thread) CROSS JOIN LATERAL (
      SELECT i.ctid AS place FROM threads i
      WHERE i.account_id = p_account AND i.thread_id = u.thread OFFSET 0) x
    WHERE (t.account_id = p_account) IS TRUE AND t.ctid = x.place;
  RETURN v_threads;
END
$$;

CREATE FUNCTION add_keywords(p_old integer[], p_add integer[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN (SELECT coalesce(array_agg(DISTINCT k ORDER BY k), '{}') FROM unnest(p_old || p_add) k);
END
$$;

CREATE FUNCTION remove_keywords(p_old integer[], p_remove integer[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN (SELECT coalesce(array_agg(k ORDER BY k), '{}') FROM unnest(p_old) k
          WHERE k <> ALL (p_remove));
END
$$;

-- Mode: 0 add, 1 remove, 2 replace. The first row (uid 0) carries the modseq, 0 when nothing changed,
-- and the watchers; the others are the entries after the change.
CREATE FUNCTION store_flags(p_account bigint, p_mailbox bigint, p_lo bigint[], p_hi bigint[],
  p_mode bigint, p_mask bigint, p_names text[], p_unchanged bigint, p_max_keywords bigint,
  p_at timestamptz)
RETURNS TABLE (uid bigint, email_id bigint, flags integer, keywords integer[], modseq bigint,
               received_at timestamptz, size bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_keywords integer[] := '{}';
  v_uids bigint[];
  v_emails bigint[];
  v_unseen bigint;
  v_deleted bigint;
  v_deleted_unseen bigint;
BEGIN
  PERFORM FROM mailboxes WHERE account_id = p_account AND mailbox_id = p_mailbox;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such mailbox' USING ERRCODE = 'ZG404';
  END IF;
  IF p_mode = 1 THEN
    -- A keyword that is not there needs no id to be removed.
    SELECT coalesce(array_agg(k.keyword_id ORDER BY k.keyword_id), '{}') INTO v_keywords
      FROM keywords k WHERE k.account_id = p_account
        AND lower(k.name COLLATE "C") = ANY (SELECT lower(u COLLATE "C") FROM unnest(p_names) u);
  ELSIF cardinality(p_names) > 0 THEN
    v_keywords := intern_keywords(p_account, p_names, p_max_keywords::integer);
  END IF;
  WITH found AS MATERIALIZED (
    SELECT e.place, e.flags, e.keywords,
           (CASE p_mode WHEN 0 THEN e.flags | p_mask WHEN 1 THEN e.flags & ~p_mask
                        ELSE p_mask END)::integer AS new_flags,
           CASE WHEN p_mode = 2 THEN v_keywords WHEN v_keywords = '{}' THEN e.keywords
                WHEN p_mode = 0 THEN add_keywords(e.keywords, v_keywords)
                ELSE remove_keywords(e.keywords, v_keywords) END AS new_keywords
    FROM unnest(p_lo, p_hi) r(lo, hi) CROSS JOIN LATERAL (
      SELECT i.ctid AS place, i.flags, i.keywords, i.modseq FROM mailbox_entries i
      WHERE i.account_id = p_account AND i.mailbox_id = p_mailbox AND i.uid BETWEEN r.lo AND r.hi
      OFFSET 0) e
    WHERE p_unchanged IS NULL OR e.modseq <= p_unchanged),
  changed AS (
    UPDATE mailbox_entries e SET flags = f.new_flags, keywords = f.new_keywords,
           unseen = f.new_flags & 1 = 0, modseq = v_modseq
    FROM found f
    WHERE (e.account_id = p_account) IS TRUE AND e.ctid = f.place
      AND (f.new_flags <> f.flags OR f.new_keywords <> f.keywords)
    RETURNING e.uid, e.email_id, f.flags AS old, e.flags AS new)
  SELECT array_agg(c.uid), array_agg(c.email_id),
         count(*) FILTER (WHERE c.new & 1 = 0) - count(*) FILTER (WHERE c.old & 1 = 0),
         count(*) FILTER (WHERE c.new & 8 <> 0) - count(*) FILTER (WHERE c.old & 8 <> 0),
         count(*) FILTER (WHERE c.new & 9 = 8) - count(*) FILTER (WHERE c.old & 9 = 8)
    INTO v_uids, v_emails, v_unseen, v_deleted, v_deleted_unseen FROM changed c;

  IF v_uids IS NULL THEN
    v_modseq := 0;
  ELSE
    -- JMAP's unread counts change with \Seen and \Deleted: then the mailbox changed, too.
    UPDATE mailboxes m SET unseen = m.unseen + v_unseen, deleted = m.deleted + v_deleted,
           deleted_unseen = m.deleted_unseen + v_deleted_unseen, highest_modseq = v_modseq,
           changed_modseq = CASE WHEN v_unseen <> 0 OR v_deleted <> 0 OR v_deleted_unseen <> 0
                                 THEN v_modseq ELSE m.changed_modseq END
      WHERE m.account_id = p_account AND m.mailbox_id = p_mailbox;
    UPDATE accounts a SET modseq = v_modseq, email_modseq = v_modseq,
           mailbox_modseq = CASE WHEN v_unseen <> 0 OR v_deleted <> 0 OR v_deleted_unseen <> 0
                                 THEN v_modseq ELSE a.mailbox_modseq END
      WHERE a.account_id = p_account;
    PERFORM log_change(p_account, v_modseq, 1, 2, p_mailbox, v_uids, v_emails, NULL, p_at);
  END IF;
  RETURN QUERY SELECT 0::bigint, 0::bigint, 0, '{}'::integer[], v_modseq, p_at, 0::bigint,
                      watchers_of(p_account);
  RETURN QUERY SELECT e.uid, e.email_id, e.flags, e.keywords, e.modseq, e.received_at, e.size,
                      NULL::text[]
    FROM unnest(p_lo, p_hi) r(lo, hi) CROSS JOIN LATERAL (
      SELECT i.* FROM mailbox_entries i
      WHERE i.account_id = p_account AND i.mailbox_id = p_mailbox AND i.uid BETWEEN r.lo AND r.hi
      OFFSET 0) e
    ORDER BY e.uid;
END
$$;

-- COPY and MOVE. Never copies an octet: the email is the same, unless the destination holds it
-- already; then a new email with the same content is made.
CREATE FUNCTION copy_entries(p_account bigint, p_from bigint, p_lo bigint[], p_hi bigint[],
                             p_to bigint, p_move boolean, p_at timestamptz)
RETURNS TABLE (modseq bigint, uidvalidity bigint, source bigint[], destination bigint[],
               watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_uidnext bigint;
  v_uidvalidity bigint;
  v_next_id bigint;
  v_quota bigint;
  v_uids bigint[];
  v_old bigint[];       -- emails of the source entries
  v_new bigint[];       -- emails of the entries that are made
  v_new_uids bigint[];
  v_made bigint;        -- new emails among them
  v_size bigint;
  v_threads bigint[];
  v_sum mailboxes%ROWTYPE;
BEGIN
  PERFORM FROM mailboxes WHERE account_id = p_account AND mailbox_id = p_from;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such source mailbox' USING ERRCODE = 'ZG404';
  END IF;
  SELECT uidnext, uidvalidity INTO v_uidnext, v_uidvalidity
    FROM mailboxes WHERE account_id = p_account AND mailbox_id = p_to;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such destination mailbox' USING ERRCODE = 'ZG404';
  END IF;
  SELECT next_id, CASE quota_bytes WHEN 0 THEN NULL ELSE quota_bytes - used_bytes END
    INTO v_next_id, v_quota FROM accounts WHERE account_id = p_account;

  SELECT array_agg(x.uid ORDER BY x.uid), array_agg(x.email_id ORDER BY x.uid),
         array_agg(CASE WHEN x.held THEN v_next_id - 1 + x.nth ELSE x.email_id END ORDER BY x.uid),
         array_agg(v_uidnext - 1 + x.ord ORDER BY x.uid), count(*) FILTER (WHERE x.held),
         coalesce(sum(x.size) FILTER (WHERE x.held), 0)
    INTO v_uids, v_old, v_new, v_new_uids, v_made, v_size
    FROM (
      SELECT h.*, row_number() OVER (ORDER BY h.uid) AS ord,
             count(*) FILTER (WHERE h.held) OVER (ORDER BY h.uid) AS nth
      FROM (
        SELECT e.uid, e.email_id, e.size,
               -- A count, because EXISTS here is hashed: it would read the whole destination.
               NOT (p_move AND p_from = p_to) AND 0 < (
                 SELECT count(*) FROM mailbox_entries o WHERE o.account_id = p_account
                   AND o.email_id = e.email_id AND o.mailbox_id = p_to) AS held
        FROM unnest(p_lo, p_hi) r(lo, hi) CROSS JOIN LATERAL (
          SELECT i.uid, i.email_id, i.size FROM mailbox_entries i
          WHERE i.account_id = p_account AND i.mailbox_id = p_from AND i.uid BETWEEN r.lo AND r.hi
          OFFSET 0) e
      ) h) x;
  IF v_uids IS NULL THEN
    RETURN QUERY SELECT 0::bigint, v_uidvalidity, '{}'::bigint[], '{}'::bigint[], '{}'::text[];
    RETURN;
  END IF;
  IF v_made > 0 AND v_size > v_quota THEN
    RAISE EXCEPTION 'over quota' USING ERRCODE = 'ZG429';
  END IF;

  IF v_made > 0 THEN
    WITH made AS (
      INSERT INTO emails (account_id, email_id, thread_id, blob_id, created_modseq, received_at,
          sent_at, size, header_size, prefix_size, has_attachment, message_id, subject_base, subject,
          from_text, to_text, cc_text, bcc_text, preview, summary)
        SELECT p_account, x.new, e.thread_id, e.blob_id, v_modseq, e.received_at, e.sent_at, e.size,
               e.header_size, e.prefix_size, e.has_attachment, e.message_id, e.subject_base,
               e.subject, e.from_text, e.to_text, e.cc_text, e.bcc_text, e.preview, e.summary
        FROM unnest(v_old, v_new) x(old, new) CROSS JOIN LATERAL (
          SELECT i.* FROM emails i WHERE i.account_id = p_account AND i.email_id = x.old OFFSET 0) e
        WHERE x.old <> x.new
      RETURNING thread_id)
    SELECT array_agg(DISTINCT thread_id) INTO v_threads FROM made;
    UPDATE threads SET changed_modseq = v_modseq
      WHERE account_id = p_account AND thread_id = ANY (v_threads);
  END IF;

  SELECT count(*), count(*) FILTER (WHERE e.unseen), count(*) FILTER (WHERE e.flags & 8 <> 0),
         count(*) FILTER (WHERE e.flags & 9 = 8), sum(e.size)
    INTO v_sum.total, v_sum.unseen, v_sum.deleted, v_sum.deleted_unseen, v_sum.size
    FROM unnest(v_uids) u(uid) CROSS JOIN LATERAL (
      SELECT i.unseen, i.flags, i.size FROM mailbox_entries i
      WHERE i.account_id = p_account AND i.mailbox_id = p_from AND i.uid = u.uid OFFSET 0) e;
  IF p_move THEN
    UPDATE mailbox_entries e SET mailbox_id = p_to, uid = x.new_uid, email_id = x.new,
           modseq = v_modseq
      FROM unnest(v_uids, v_new_uids, v_new) u(uid, new_uid, new) CROSS JOIN LATERAL (
        SELECT i.ctid AS place, u.new_uid, u.new FROM mailbox_entries i
        WHERE i.account_id = p_account AND i.mailbox_id = p_from AND i.uid = u.uid OFFSET 0) x
      WHERE (e.account_id = p_account) IS TRUE AND e.ctid = x.place;
    UPDATE mailboxes m SET total = m.total - v_sum.total, unseen = m.unseen - v_sum.unseen,
           deleted = m.deleted - v_sum.deleted,
           deleted_unseen = m.deleted_unseen - v_sum.deleted_unseen, size = m.size - v_sum.size,
           highest_modseq = v_modseq, changed_modseq = v_modseq
      WHERE m.account_id = p_account AND m.mailbox_id = p_from;
    PERFORM log_change(p_account, v_modseq, 2, 3, p_from, v_uids, v_old, NULL, p_at);
  ELSE
    INSERT INTO mailbox_entries (account_id, mailbox_id, uid, email_id, modseq, received_at, size,
                                 flags, unseen, keywords)
      SELECT p_account, p_to, x.new_uid, x.new, v_modseq, e.received_at, e.size, e.flags, e.unseen,
             e.keywords
      FROM unnest(v_uids, v_new_uids, v_new) x(uid, new_uid, new) CROSS JOIN LATERAL (
        SELECT i.* FROM mailbox_entries i
        WHERE i.account_id = p_account AND i.mailbox_id = p_from AND i.uid = x.uid OFFSET 0) e;
  END IF;

  UPDATE mailboxes m SET uidnext = m.uidnext + v_sum.total, total = m.total + v_sum.total,
         unseen = m.unseen + v_sum.unseen, deleted = m.deleted + v_sum.deleted,
         deleted_unseen = m.deleted_unseen + v_sum.deleted_unseen, size = m.size + v_sum.size,
         highest_modseq = v_modseq, changed_modseq = v_modseq
    WHERE m.account_id = p_account AND m.mailbox_id = p_to;
  UPDATE accounts a SET modseq = v_modseq, email_modseq = v_modseq, mailbox_modseq = v_modseq,
         thread_modseq = CASE WHEN v_made > 0 THEN v_modseq ELSE a.thread_modseq END,
         next_id = a.next_id + v_made, email_count = a.email_count + v_made,
         used_bytes = a.used_bytes + v_size
    WHERE a.account_id = p_account;
  PERFORM log_change(p_account, v_modseq, 1, 1, p_to, v_new_uids, v_new, v_threads, p_at);
  RETURN QUERY SELECT v_modseq, v_uidvalidity, v_uids, v_new_uids, watchers_of(p_account);
END
$$;

-- Removes entries: those with \Deleted, or all of the set with p_any.
CREATE FUNCTION expunge_entries(p_account bigint, p_mailbox bigint, p_lo bigint[], p_hi bigint[],
                                p_any boolean, p_at timestamptz)
RETURNS TABLE (modseq bigint, uids bigint[], watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_uids bigint[];
  v_emails bigint[];
  v_sum mailboxes%ROWTYPE;
BEGIN
  PERFORM FROM mailboxes WHERE account_id = p_account AND mailbox_id = p_mailbox;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such mailbox' USING ERRCODE = 'ZG404';
  END IF;
  WITH gone AS (
    DELETE FROM mailbox_entries e
      USING unnest(p_lo, p_hi) r(lo, hi) CROSS JOIN LATERAL (
        SELECT i.ctid AS place FROM mailbox_entries i
        WHERE i.account_id = p_account AND i.mailbox_id = p_mailbox
          AND i.uid BETWEEN r.lo AND r.hi AND (p_any OR i.flags & 8 <> 0) OFFSET 0) x
      WHERE (e.account_id = p_account) IS TRUE AND e.ctid = x.place
    RETURNING e.uid, e.email_id, e.flags, e.unseen, e.size)
  SELECT array_agg(g.uid ORDER BY g.uid), array_agg(g.email_id ORDER BY g.uid), count(*),
         count(*) FILTER (WHERE g.unseen), count(*) FILTER (WHERE g.flags & 8 <> 0),
         count(*) FILTER (WHERE g.flags & 9 = 8), sum(g.size)
    INTO v_uids, v_emails, v_sum.total, v_sum.unseen, v_sum.deleted, v_sum.deleted_unseen, v_sum.size
    FROM gone g;
  IF v_uids IS NULL THEN
    RETURN QUERY SELECT 0::bigint, '{}'::bigint[], '{}'::text[];
    RETURN;
  END IF;
  UPDATE mailboxes m SET total = m.total - v_sum.total, unseen = m.unseen - v_sum.unseen,
         deleted = m.deleted - v_sum.deleted,
         deleted_unseen = m.deleted_unseen - v_sum.deleted_unseen, size = m.size - v_sum.size,
         highest_modseq = v_modseq, changed_modseq = v_modseq
    WHERE m.account_id = p_account AND m.mailbox_id = p_mailbox;
  UPDATE accounts a SET modseq = v_modseq, email_modseq = v_modseq, mailbox_modseq = v_modseq
    WHERE a.account_id = p_account;
  PERFORM log_change(p_account, v_modseq, 1, 3, p_mailbox, v_uids, v_emails,
                     destroy_orphans(p_account, v_modseq, v_emails, p_at), p_at);
  RETURN QUERY SELECT v_modseq, v_uids, watchers_of(p_account);
END
$$;
