-- The door for new emails: a group of deliveries in one call. Arrays are parallel: m_ a message, t_ a
-- target (one account of one message), c_ a body chunk, k_ a keyword of a target, r_ a message id of a
-- message. Messages and targets are numbered from 1.
--
-- A single statement keeps the snapshot from before its lock wait: duplicate UIDs, lost watchers. So
-- the accounts are locked first, and everything is read in later statements, which see what the
-- transactions before us have committed.
--
-- With p_wait no account is waited for longer than that, and then the call fails (55P03). With p_skip
-- none is waited for at all: what concerns an account that somebody else holds gets code 423, and the
-- others of the group do not suffer.

-- Ids of keyword names, made where they are new. The account is locked.
CREATE FUNCTION intern_keywords(p_account bigint, p_names text[], p_max integer)
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
      RAISE EXCEPTION 'too many keywords' USING ERRCODE = 'ZG429';
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

-- Addresses of the gateways that watch an account. PL/pgSQL as everything here: a function in plain SQL
-- is planned anew each time it is called, 0.25 ms.
CREATE FUNCTION watchers_of(p_account bigint) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_addresses text[];
BEGIN
  SELECT coalesce(array_agg(g.address), '{}') INTO v_addresses
    FROM watchers w JOIN gateways g ON g.gateway_id = w.gateway_id WHERE w.account_id = p_account;
  RETURN v_addresses;
END
$$;

CREATE FUNCTION deliver_group(
  m_blob bigint[], m_received timestamptz[], m_sent timestamptz[], m_body_size bigint[],
  m_summary bytea[], m_message_id text[], m_subject_base text[], m_subject text[], m_from text[],
  m_to text[], m_cc text[], m_bcc text[], m_preview text[], m_attachment boolean[],
  m_enforce_quota boolean[], m_staged_account bigint[],
  c_message bigint[], c_seq bigint[], c_size bigint[], c_codec bigint[], c_data bytea[],
  t_message bigint[], t_account bigint[], t_mailbox bigint[], t_role text[], t_flags bigint[],
  t_prefix_size bigint[], t_header_size bigint[], t_header_codec bigint[], t_header_data bytea[],
  t_leader bigint[],
  k_target bigint[], k_name text[], p_max_keywords bigint,
  r_message bigint[], r_text text[],
  p_at timestamptz, p_wait text, p_skip boolean)
RETURNS TABLE (target bigint, code bigint, mailbox_id bigint, uidvalidity bigint, uid bigint,
               email_id bigint, thread_id bigint, modseq bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  -- Of every target: 0, or why its message is not delivered.
  v_code bigint[];
  v_box bigint[];
  -- Of the targets that are delivered, parallel:
  v_target bigint[];
  v_message bigint[];
  v_account bigint[];
  v_mailbox bigint[];
  v_uid bigint[];
  v_uidvalidity bigint[];
  v_email bigint[];
  v_thread bigint[];
  v_modseq bigint[];
  v_keyword_account bigint;
  v_locked bigint[];
  v_old_wait text := current_setting('lock_timeout');
BEGIN
  IF p_skip THEN
    SELECT array_agg(l.account_id) INTO v_locked FROM (
      SELECT account_id FROM accounts WHERE account_id = ANY (t_account) ORDER BY account_id
      FOR NO KEY UPDATE SKIP LOCKED) l;
  ELSE
    v_locked := t_account;
    IF p_wait <> '' THEN
      PERFORM set_config('lock_timeout', p_wait, true);
    END IF;
    PERFORM FROM accounts WHERE account_id = ANY (t_account) ORDER BY account_id FOR NO KEY UPDATE;
    IF p_wait <> '' THEN
      PERFORM set_config('lock_timeout', v_old_wait, true);
    END IF;
  END IF;

  -- The mailbox, and what stands against delivery, of each target.
  SELECT array_agg(x.box ORDER BY x.target),
         array_agg(CASE WHEN x.known IS NULL THEN 404 WHEN x.busy THEN 423 WHEN x.disabled THEN 412
                        WHEN x.uidnext IS NULL THEN 404 WHEN x.over_quota THEN 429
                        WHEN x.expired THEN 412 ELSE 0 END ORDER BY x.target)
    INTO v_box, v_code
    FROM (
      SELECT t.target, a.account_id AS known, a.disabled, b.box, m.uidnext,
             (t.account = ANY (v_locked)) IS NOT TRUE AS busy,
             m_enforce_quota[t.message] AND a.quota_bytes > 0
               AND a.used_bytes + sum(t.header_size + m_body_size[t.message])
                     OVER (PARTITION BY t.account ORDER BY t.target) > a.quota_bytes AS over_quota,
             m_staged_account[t.message] <> 0 AND 0 = (
               SELECT count(*) FROM staged_blobs s WHERE s.account_id = m_staged_account[t.message]
                 AND s.blob_id = m_blob[t.message]) AS expired
      FROM unnest(t_message, t_account, t_mailbox, t_role, t_header_size)
             WITH ORDINALITY t(message, account, mailbox, role, header_size, target)
      LEFT JOIN accounts a ON a.account_id = t.account
      CROSS JOIN LATERAL (SELECT CASE WHEN t.mailbox <> 0 THEN t.mailbox ELSE (
          SELECT r.mailbox_id FROM mailboxes r WHERE r.account_id = t.account
            AND r.role <> '' AND r.role IN (t.role, 'inbox')
          ORDER BY r.role = t.role DESC LIMIT 1) END AS box) b
      LEFT JOIN mailboxes m ON m.account_id = t.account AND m.mailbox_id = b.box) x;

  -- A message is delivered wholly or not at all: one bad target stands for the others.
  IF 0 <> ANY (v_code) THEN
    SELECT array_agg(coalesce(bad.code, 0) ORDER BY t.target) INTO v_code
      FROM unnest(t_message) WITH ORDINALITY t(message, target)
      LEFT JOIN (SELECT b.message, max(b.code) AS code FROM unnest(t_message, v_code) b(message, code)
                 WHERE b.code <> 0 GROUP BY b.message) bad ON bad.message = t.message;
    RETURN QUERY SELECT u.target, u.code, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint,
                        0::bigint, '{}'::text[]
      FROM unnest(v_code) WITH ORDINALITY u(code, target) WHERE u.code <> 0;
    IF NOT (0 = ANY (v_code)) THEN
      RETURN;
    END IF;
  END IF;

  -- UIDs, ids and the modseq.
  SELECT array_agg(x.target), array_agg(x.message), array_agg(x.account), array_agg(x.mailbox),
         array_agg(x.uid), array_agg(x.uidvalidity), array_agg(x.email), array_agg(x.modseq)
    INTO v_target, v_message, v_account, v_mailbox, v_uid, v_uidvalidity, v_email, v_modseq
    FROM (
      SELECT t.target, t.message, t.account, t.mailbox, m.uidvalidity,
             m.uidnext - 1 + row_number() OVER (PARTITION BY t.account, t.mailbox
                                                ORDER BY t.target) AS uid,
             a.next_id - 1 + row_number() OVER (PARTITION BY t.account ORDER BY t.target) AS email,
             a.modseq + 1 AS modseq
      FROM unnest(t_message, t_account, v_box, v_code)
             WITH ORDINALITY t(message, account, mailbox, code, target)
      JOIN accounts a ON a.account_id = t.account
      JOIN mailboxes m ON m.account_id = t.account AND m.mailbox_id = t.mailbox
      WHERE t.code = 0 ORDER BY t.target) x;

  -- Threads: the oldest one known to any message id of the leader's followers, else a new one named
  -- after the first email. Targets of one account with the same leader share a message id.
  SELECT array_agg(coalesce(known.thread, g.first_email) ORDER BY g.target) INTO v_thread
    FROM (SELECT t.target, t_leader[t.target] AS leader,
                 min(t.email) OVER (PARTITION BY t_leader[t.target]) AS first_email
          FROM unnest(v_target, v_email) t(target, email)) g
    LEFT JOIN (
      SELECT t_leader[t.target] AS leader, min(f.thread_id) AS thread
      FROM unnest(v_target, v_message, v_account) t(target, message, account)
      JOIN unnest(r_message, r_text) r(message, ref) ON r.message = t.message
      JOIN thread_refs f ON f.account_id = t.account
        AND f.ref_hash = hashtextextended(r.ref || E'\n' || m_subject_base[r.message], 0)
      GROUP BY 1) known ON known.leader = g.leader;
  INSERT INTO thread_refs (account_id, ref_hash, thread_id)
    SELECT t.account, hashtextextended(r.ref || E'\n' || m_subject_base[r.message], 0), t.thread
    FROM unnest(v_message, v_account, v_thread) t(message, account, thread)
    JOIN unnest(r_message, r_text) r(message, ref) ON r.message = t.message
    ON CONFLICT DO NOTHING;
  INSERT INTO threads AS h (account_id, thread_id, created_modseq, changed_modseq)
    SELECT DISTINCT t.account, t.thread, t.modseq, t.modseq
    FROM unnest(v_account, v_thread, v_modseq) t(account, thread, modseq)
    ON CONFLICT (account_id, thread_id) DO UPDATE SET changed_modseq = excluded.changed_modseq;

  FOR v_keyword_account IN
    SELECT DISTINCT t_account[k.target] FROM unnest(k_target) k(target) WHERE v_code[k.target] = 0
  LOOP
    PERFORM intern_keywords(v_keyword_account, array_agg(k.name), p_max_keywords::integer)
      FROM unnest(k_target, k_name) k(target, name)
      WHERE t_account[k.target] = v_keyword_account AND v_code[k.target] = 0;
  END LOOP;

  -- Content.
  INSERT INTO emails (account_id, email_id, thread_id, blob_id, created_modseq, received_at, sent_at,
                      size, header_size, prefix_size, has_attachment, message_id, subject_base,
                      subject, from_text, to_text, cc_text, bcc_text, preview, summary)
    SELECT t.account, t.email, t.thread, m_blob[t.message], t.modseq, m_received[t.message],
           m_sent[t.message], t_header_size[t.target] + m_body_size[t.message],
           t_header_size[t.target], t_prefix_size[t.target], m_attachment[t.message],
           m_message_id[t.message], m_subject_base[t.message], m_subject[t.message],
           m_from[t.message], m_to[t.message], m_cc[t.message], m_bcc[t.message],
           m_preview[t.message], m_summary[t.message]
    FROM unnest(v_target, v_message, v_account, v_email, v_thread, v_modseq)
           t(target, message, account, email, thread, modseq);
  INSERT INTO blob_chunks (account_id, blob_id, seq, size, codec, data)
    SELECT t.account, m_blob[t.message], 0, t_header_size[t.target], t_header_codec[t.target],
           t_header_data[t.target]
    FROM unnest(v_target, v_message, v_account) t(target, message, account)
    UNION ALL
    SELECT t.account, m_blob[t.message], c.seq, c.size, c.codec, c.data
    FROM unnest(v_message, v_account) t(message, account)
    JOIN unnest(c_message, c_seq, c_size, c_codec, c_data) c(message, seq, size, codec, data)
      ON c.message = t.message;
  IF 0 <> ANY (m_staged_account) THEN
    PERFORM adopt_staged_blobs(m_blob, m_staged_account, v_message, v_account);
  END IF;

  INSERT INTO mailbox_entries (account_id, mailbox_id, uid, email_id, modseq, received_at, size, flags,
                               unseen, keywords)
    SELECT t.account, t.mailbox, t.uid, t.email, t.modseq, m_received[t.message],
           t_header_size[t.target] + m_body_size[t.message], t_flags[t.target],
           t_flags[t.target] & 1 = 0,
           CASE WHEN t.target = ANY (k_target) THEN (
             SELECT array_agg(DISTINCT k.keyword_id ORDER BY k.keyword_id)
             FROM unnest(k_target, k_name) n(target, name)
             JOIN keywords k ON k.account_id = t.account
               AND lower(k.name COLLATE "C") = lower(n.name COLLATE "C")
             WHERE n.target = t.target) ELSE '{}' END
    FROM unnest(v_target, v_message, v_account, v_mailbox, v_uid, v_email, v_modseq)
           t(target, message, account, mailbox, uid, email, modseq);

  -- Counters and the change log.
  UPDATE mailboxes m SET uidnext = m.uidnext + d.total, total = m.total + d.total,
         unseen = m.unseen + d.unseen, deleted = m.deleted + d.deleted,
         deleted_unseen = m.deleted_unseen + d.deleted_unseen, size = m.size + d.size,
         highest_modseq = d.modseq, changed_modseq = d.modseq
    FROM (SELECT t.account, t.mailbox, t.modseq, count(*) AS total,
                 count(*) FILTER (WHERE t_flags[t.target] & 1 = 0) AS unseen,
                 count(*) FILTER (WHERE t_flags[t.target] & 8 <> 0) AS deleted,
                 count(*) FILTER (WHERE t_flags[t.target] & 9 = 8) AS deleted_unseen,
                 sum(t_header_size[t.target] + m_body_size[t.message]) AS size
          FROM unnest(v_target, v_message, v_account, v_mailbox, v_modseq)
                 t(target, message, account, mailbox, modseq)
          GROUP BY t.account, t.mailbox, t.modseq) d
    WHERE m.account_id = d.account AND m.mailbox_id = d.mailbox;
  UPDATE accounts a SET modseq = d.modseq, email_modseq = d.modseq, mailbox_modseq = d.modseq,
         thread_modseq = d.modseq, next_id = a.next_id + d.emails,
         email_count = a.email_count + d.emails, used_bytes = a.used_bytes + d.size
    FROM (SELECT t.account, t.modseq, count(*) AS emails,
                 sum(t_header_size[t.target] + m_body_size[t.message]) AS size
          FROM unnest(v_target, v_message, v_account, v_modseq) t(target, message, account, modseq)
          GROUP BY t.account, t.modseq) d
    WHERE a.account_id = d.account;
  INSERT INTO change_log (account_id, modseq, part, kind, mailbox_id, uids, email_ids, thread_ids, at)
    SELECT t.account, t.modseq, row_number() OVER (PARTITION BY t.account), 1, t.mailbox,
           int8multirange(int8range(min(t.uid), max(t.uid), '[]')), array_agg(t.email),
           array_agg(DISTINCT t.thread), p_at
    FROM unnest(v_account, v_mailbox, v_uid, v_email, v_thread, v_modseq)
           t(account, mailbox, uid, email, thread, modseq)
    GROUP BY t.account, t.mailbox, t.modseq;

  RETURN QUERY SELECT t.target, 0::bigint, t.mailbox, t.uidvalidity, t.uid, t.email, t.thread, t.modseq,
                      watchers_of(t.account)
    FROM unnest(v_target, v_account, v_mailbox, v_uidvalidity, v_uid, v_email, v_thread, v_modseq)
           t(target, account, mailbox, uidvalidity, uid, email, thread, modseq);
END
$$;

-- Turns staged bodies into those of the delivered messages: kept by the account they were staged in,
-- if it is a recipient, and copied to the others. Taking the row away is what keeps the sweep off.
CREATE FUNCTION adopt_staged_blobs(m_blob bigint[], m_staged_account bigint[], v_message bigint[],
                                   v_account bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_taken bigint;
  v_expected bigint;
BEGIN
  SELECT count(DISTINCT message) INTO v_expected FROM unnest(v_message) t(message)
    WHERE m_staged_account[t.message] <> 0;
  DELETE FROM staged_blobs s USING (SELECT DISTINCT message FROM unnest(v_message) u(message)) t
    WHERE m_staged_account[t.message] <> 0 AND s.account_id = m_staged_account[t.message]
      AND s.blob_id = m_blob[t.message];
  GET DIAGNOSTICS v_taken = ROW_COUNT;
  IF v_taken <> v_expected THEN
    RAISE EXCEPTION 'staged blob has expired' USING ERRCODE = 'ZG412';
  END IF;
  INSERT INTO blob_chunks (account_id, blob_id, seq, size, codec, data)
    SELECT t.account, b.blob_id, b.seq, b.size, b.codec, b.data
    FROM unnest(v_message, v_account) t(message, account)
    JOIN blob_chunks b ON b.account_id = m_staged_account[t.message]
      AND b.blob_id = m_blob[t.message] AND b.seq > 0
    WHERE m_staged_account[t.message] NOT IN (0, t.account);
  -- Staged in an account that is no recipient after all: the sweep takes it from here.
  INSERT INTO dead_blobs (account_id, blob_id, thread_id, died_at)
    SELECT DISTINCT m_staged_account[t.message], m_blob[t.message], 0, '-infinity'::timestamptz
    FROM unnest(v_message) t(message)
    WHERE m_staged_account[t.message] <> 0 AND NOT EXISTS (
      SELECT FROM unnest(v_message, v_account) o(message, account)
      WHERE o.message = t.message AND o.account = m_staged_account[t.message]);
END
$$;

-- Staging, in functions: whoever may put rows into these tables by himself may have the sweep remove
-- the mail of others. A blob that has chunks is somebody's already.
CREATE FUNCTION stage_blob(p_account bigint, p_blob bigint, p_expires timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM blob_chunks WHERE account_id = p_account AND blob_id = p_blob LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'the blob is there already' USING ERRCODE = 'ZG409';
  END IF;
  INSERT INTO staged_blobs (account_id, blob_id, expires_at) VALUES (p_account, p_blob, p_expires);
END
$$;

-- The row is what keeps the sweep off: its lock is taken before a chunk is written, and a body that has
-- expired takes no more. Chunks written behind the sweep's back belonged to nobody, for ever.
CREATE FUNCTION stage_chunk(p_account bigint, p_blob bigint, p_seq bigint, p_size bigint,
                            p_codec bigint, p_data bytea, p_expires timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE staged_blobs SET expires_at = greatest(expires_at, p_expires)
    WHERE account_id = p_account AND blob_id = p_blob;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'staged blob has expired' USING ERRCODE = 'ZG412';
  END IF;
  IF p_seq < 1 THEN
    RAISE EXCEPTION 'chunk 0 is the header' USING ERRCODE = 'ZG422';
  END IF;
  INSERT INTO blob_chunks (account_id, blob_id, seq, size, codec, data)
    VALUES (p_account, p_blob, p_seq, p_size, p_codec, p_data);
END
$$;

-- The chunks go with the sweep.
CREATE FUNCTION drop_staged_blob(p_account bigint, p_blob bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM staged_blobs WHERE account_id = p_account AND blob_id = p_blob;
  IF FOUND THEN
    INSERT INTO dead_blobs (account_id, blob_id, thread_id, died_at)
      VALUES (p_account, p_blob, 0, '-infinity');
  END IF;
END
$$;
