-- The work of the queue: taking messages, leases, recording attempts. docs/queue-states.md tells every
-- state. No program before this one used the queue's tables.

-- The key outlives the message, or a caller that repeats itself after a quick delivery would send twice.
ALTER TABLE queue_messages DROP CONSTRAINT queue_messages_idempotency_key_key;
CREATE TABLE queue_keys (
  idempotency_key bytea PRIMARY KEY,
  queue_id bigint NOT NULL,
  expires_at timestamptz NOT NULL           -- kept longer while the message waits
);
CREATE INDEX queue_keys_expires ON queue_keys (expires_at);

-- When somebody has to look at the message again: its earliest pending recipient, the end of a claim,
-- 'infinity' while it is held. The one index of the schedule; a shard is queue_id % 256.
DROP INDEX queue_messages_shard;
ALTER TABLE queue_messages
  ADD COLUMN next_due timestamptz NOT NULL DEFAULT 'infinity',
  ADD COLUMN auth_user text NOT NULL DEFAULT '',
  ADD COLUMN give_up text,                  -- an operator's: every recipient fails with this text
  DROP COLUMN claim_epoch;                  -- a worker's id is drawn anew at each start
CREATE INDEX queue_messages_due ON queue_messages (next_due, queue_id);

-- Chunks come before their message while a body is staged, and a check of each row against its message
-- costs more than the row: the functions below keep them together, `queue check` looks.
ALTER TABLE queue_chunks DROP CONSTRAINT queue_chunks_queue_id_fkey;
ALTER TABLE queue_recipients DROP CONSTRAINT queue_recipients_queue_id_fkey;
CREATE TABLE queue_staged (
  queue_id bigint PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
CREATE INDEX queue_staged_expires ON queue_staged (expires_at);

-- The lease is the worker's, one row to renew; its shards go by it.
ALTER TABLE queue_shards DROP COLUMN expires_at;
ALTER TABLE queue_workers ADD COLUMN expires_at timestamptz NOT NULL;
ALTER TABLE queue_workers SET (fillfactor = 40);

CREATE OR REPLACE FUNCTION mark_restored() RETURNS TABLE (accounts_done bigint, messages_held bigint)
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
  UPDATE queue_messages SET hold = true, hold_reason = 'restored', next_due = 'infinity',
         claim_worker = NULL, claim_expires_at = NULL WHERE NOT hold;
  GET DIAGNOSTICS v_held = ROW_COUNT;
  UPDATE queue_shards SET epoch = epoch + 1000000, worker = NULL;
  DELETE FROM queue_workers;
  RETURN QUERY SELECT v_accounts, v_held;
END
$$;

-- When a message that nobody claims has to be looked at.
CREATE FUNCTION queue_next_due(p_id bigint, p_hold boolean, p_hold_until timestamptz)
RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_due timestamptz;
BEGIN
  IF p_hold THEN
    RETURN 'infinity';
  END IF;
  SELECT min(next_attempt_at) INTO v_due FROM queue_recipients
    WHERE queue_id = p_id AND state = 'pending' AND NOT hold;
  RETURN CASE WHEN v_due IS NULL THEN 'infinity' ELSE greatest(v_due, p_hold_until) END;
END
$$;

-- Takes a group of messages. Arrays are parallel: m_ a message, c_ a chunk, r_ a recipient; messages are
-- numbered from 1. m_flags: 1 requiretls, 2 smtputf8, 4 eight-bit, 8 the body is staged, 16 claimed.
-- Codes: 0 taken, 208 the key is known, 412 the staged body is gone.
CREATE FUNCTION queue_enqueue(
  m_id bigint[], m_key bytea[], m_origin text[], m_account bigint[], m_client text[], m_user text[],
  m_reverse_path text[], m_ret text[], m_envid text[], m_flags bigint[], m_hold_until timestamptz[],
  m_trace text[], m_size bigint[], m_header_size bigint[], m_at timestamptz[], m_expires timestamptz[],
  c_message bigint[], c_seq bigint[], c_size bigint[], c_codec bigint[], c_data bytea[],
  r_message bigint[], r_no bigint[], r_local text[], r_domain text[], r_orcpt text[],
  r_notify bigint[],
  p_keys double precision, p_worker bigint, p_claim double precision)
RETURNS TABLE (message bigint, code bigint, queue_id bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_known bigint[];
  v_code bigint[];
BEGIN
  -- In the order of the keys: two groups that share some take turns.
  INSERT INTO queue_keys (idempotency_key, queue_id, expires_at)
    SELECT u.key, u.id, u.at + make_interval(secs => p_keys)
    FROM unnest(m_key, m_id, m_at) u(key, id, at) ORDER BY u.key
    ON CONFLICT DO NOTHING;
  -- A later statement: it sees what another transaction committed while we waited for it.
  SELECT array_agg(coalesce(k.queue_id, 0) ORDER BY u.n) INTO v_known
    FROM unnest(m_key) WITH ORDINALITY u(key, n)
    LEFT JOIN queue_keys k ON k.idempotency_key = u.key;

  WITH taken AS (
    DELETE FROM queue_staged s USING unnest(m_id, m_flags, v_known) u(id, flags, known)
      WHERE u.flags & 8 <> 0 AND u.id = u.known AND s.queue_id = u.id RETURNING s.queue_id)
  SELECT array_agg(CASE WHEN u.known <> u.id THEN 208
                        WHEN u.flags & 8 <> 0 AND NOT EXISTS (
                          SELECT FROM taken t WHERE t.queue_id = u.id) THEN 412
                        ELSE 0 END ORDER BY u.n)
    INTO v_code FROM unnest(m_id, m_flags, v_known) WITH ORDINALITY u(id, flags, known, n);
  IF 412 = ANY (v_code) THEN
    DELETE FROM queue_keys k USING unnest(m_key, m_id, v_code) u(key, id, code)
      WHERE u.code = 412 AND k.idempotency_key = u.key AND k.queue_id = u.id;
  END IF;

  -- The end of a claim is the database's time; when to look for it is the worker's.
  INSERT INTO queue_messages (queue_id, shard, idempotency_key, origin, account_id, client_address,
      auth_user, reverse_path, ret, envid, requiretls, smtputf8, body_8bit, hold_until, trace_id, size,
      header_size, enqueued_at, expires_at, claim_worker, claim_expires_at, next_due)
    SELECT u.id, u.id % 256, u.key, u.origin, nullif(u.account, 0), u.client, u.auth_user,
           u.reverse_path, u.ret, u.envid, u.flags & 1 <> 0, u.flags & 2 <> 0, u.flags & 4 <> 0,
           u.hold_until, u.trace, u.size, u.header_size, u.at, u.expires,
           CASE WHEN u.flags & 16 <> 0 THEN p_worker END,
           CASE WHEN u.flags & 16 <> 0
                THEN clock_timestamp() + make_interval(secs => p_claim) END,
           CASE WHEN u.flags & 16 <> 0 THEN u.at + make_interval(secs => p_claim)
                ELSE greatest(u.at, u.hold_until) END
    FROM unnest(m_id, m_key, m_origin, m_account, m_client, m_user, m_reverse_path, m_ret, m_envid,
                m_flags, m_hold_until, m_trace, m_size, m_header_size, m_at, m_expires, v_code)
         u(id, key, origin, account, client, auth_user, reverse_path, ret, envid, flags, hold_until,
           trace, size, header_size, at, expires, code)
    WHERE u.code = 0;
  INSERT INTO queue_chunks (queue_id, seq, size, codec, data)
    SELECT m_id[c.message], c.seq, c.size, c.codec, c.data
    FROM unnest(c_message, c_seq, c_size, c_codec, c_data) c(message, seq, size, codec, data)
    WHERE v_code[c.message] = 0;
  INSERT INTO queue_recipients (queue_id, recipient_no, local_part, domain, orcpt, notify,
                                next_attempt_at)
    SELECT m_id[r.message], r.no, r.local_part, r.domain, r.orcpt, r.notify,
           greatest(m_at[r.message], m_hold_until[r.message])
    FROM unnest(r_message, r_no, r_local, r_domain, r_orcpt, r_notify)
         r(message, no, local_part, domain, orcpt, notify)
    WHERE v_code[r.message] = 0;
  RETURN QUERY SELECT u.n, u.code, u.known FROM unnest(v_code, v_known) WITH ORDINALITY u(code, known, n);
END
$$;

-- One beat of a worker: its lease is prolonged, shards of workers whose lease is over are taken up to
-- its fair share. Returns its shards with their epochs, and the share.
--
-- Whoever takes a dead worker's shards holds that worker's row: should it come back just then, it waits
-- here, and sees in a later statement what is left to it. A shard on which a record is being written
-- (it holds the shard's advisory lock) is left to the next beat.
CREATE FUNCTION queue_beat(p_worker bigint, p_address text, p_lease double precision)
RETURNS TABLE (shard bigint, epoch bigint, share bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_dead bigint[];
  v_share bigint;
  v_want bigint;
  v_shard smallint;
BEGIN
  INSERT INTO queue_workers AS w (worker, address, beat_at, expires_at)
    VALUES (p_worker, p_address, clock_timestamp(), clock_timestamp() + make_interval(secs => p_lease))
    ON CONFLICT (worker) DO UPDATE SET beat_at = excluded.beat_at, expires_at = excluded.expires_at;
  SELECT array_agg(d.worker) INTO v_dead FROM (
    SELECT worker FROM queue_workers WHERE expires_at <= clock_timestamp() AND worker <> p_worker
    ORDER BY worker FOR UPDATE SKIP LOCKED) d;
  SELECT ceil(256.0 / count(*)) INTO v_share FROM queue_workers
    WHERE expires_at > clock_timestamp() OR worker = p_worker;
  SELECT v_share - count(*) INTO v_want FROM queue_shards WHERE worker = p_worker;
  IF v_want > 0 THEN
    FOR v_shard IN
      SELECT s.shard FROM queue_shards s
        WHERE s.worker IS NULL OR s.worker = ANY (v_dead)
           OR NOT EXISTS (SELECT FROM queue_workers w WHERE w.worker = s.worker)
        ORDER BY s.shard LIMIT v_want FOR UPDATE SKIP LOCKED
    LOOP
      IF pg_try_advisory_xact_lock(73074978, v_shard) THEN
        UPDATE queue_shards SET worker = p_worker, epoch = epoch + 1 WHERE shard = v_shard;
      END IF;
    END LOOP;
  END IF;
  DELETE FROM queue_workers w WHERE w.worker = ANY (v_dead)
    AND NOT EXISTS (SELECT FROM queue_shards s WHERE s.worker = w.worker);
  RETURN QUERY SELECT s.shard::bigint, s.epoch, v_share FROM queue_shards s
    WHERE s.worker = p_worker ORDER BY s.shard;
END
$$;

-- Writes what an attempt came to, for a group of messages: m_epoch is the epoch of the shard's lease, 0
-- for a first attempt under a claim; m_last: nothing else of this attempt will come. r_state is the
-- recipient's new one; r_next counts for those that stay pending.
--
-- Codes: 0 written; 404 the message is gone; 409 stale: lease or claim are another's by now, nothing was
-- written. `pending`: recipients that are left; with none the message is gone.
--
-- The shared advisory locks keep a shard from being taken over between our look at its epoch and our
-- commit; the row lock does the same for a claim.
CREATE FUNCTION queue_record(
  m_id bigint[], m_epoch bigint[], m_last boolean[],
  r_message bigint[], r_no bigint[], r_state text[], r_next timestamptz[], r_reply text[],
  r_site text[], r_delayed boolean[], p_worker bigint, p_at timestamptz)
RETURNS TABLE (message bigint, code bigint, pending bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_shard integer;
  v_code bigint[];
  v_left bigint[];
BEGIN
  FOR v_shard IN SELECT DISTINCT u.id % 256 FROM unnest(m_id) u(id) ORDER BY 1 LOOP
    PERFORM pg_advisory_xact_lock_shared(73074978, v_shard);
  END LOOP;
  PERFORM FROM queue_messages WHERE queue_id = ANY (m_id) ORDER BY queue_id FOR UPDATE;
  SELECT array_agg(CASE WHEN m.queue_id IS NULL THEN 404
                        WHEN u.epoch = 0 AND m.claim_worker = p_worker THEN 0
                        WHEN u.epoch > 0 AND m.claim_worker IS NULL AND EXISTS (
                          SELECT FROM queue_shards s WHERE s.shard = m.shard AND s.worker = p_worker
                            AND s.epoch = u.epoch) THEN 0
                        ELSE 409 END ORDER BY u.n),
         array_agg((SELECT count(*) FROM queue_recipients r
                    WHERE r.queue_id = u.id AND r.state = 'pending' AND NOT EXISTS (
                      SELECT FROM unnest(r_message, r_no, r_state) f(message, no, state)
                      WHERE f.message = u.n AND f.no = r.recipient_no AND f.state <> 'pending'))
                   ORDER BY u.n)
    INTO v_code, v_left
    FROM unnest(m_id, m_epoch) WITH ORDINALITY u(id, epoch, n)
    LEFT JOIN queue_messages m ON m.queue_id = u.id;

  DELETE FROM queue_recipients r USING unnest(m_id, v_code, v_left) u(id, code, pending)
    WHERE u.code = 0 AND u.pending = 0 AND r.queue_id = u.id;
  DELETE FROM queue_chunks c USING unnest(m_id, v_code, v_left) u(id, code, pending)
    WHERE u.code = 0 AND u.pending = 0 AND c.queue_id = u.id;
  DELETE FROM queue_messages m USING unnest(m_id, v_code, v_left) u(id, code, pending)
    WHERE u.code = 0 AND u.pending = 0 AND m.queue_id = u.id;

  IF EXISTS (SELECT FROM unnest(v_code, v_left) u(code, pending) WHERE u.code = 0 AND u.pending > 0) THEN
    UPDATE queue_recipients r
      SET state = f.state, attempts = r.attempts + 1, last_attempt_at = p_at, last_reply = f.reply,
          last_site = f.site, delayed_dsn_sent = r.delayed_dsn_sent OR f.delayed,
          next_attempt_at = CASE WHEN f.state = 'pending' THEN f.next ELSE r.next_attempt_at END
      FROM unnest(r_message, r_no, r_state, r_next, r_reply, r_site, r_delayed)
           f(message, no, state, next, reply, site, delayed)
      WHERE v_code[f.message] = 0 AND v_left[f.message] > 0 AND r.queue_id = m_id[f.message]
        AND r.recipient_no = f.no AND r.state = 'pending';
    -- A claim is for the whole attempt: other domains of the message may still be on their way.
    UPDATE queue_messages m
      SET claim_worker = NULL, claim_expires_at = NULL,
          next_due = queue_next_due(m.queue_id, m.hold, m.hold_until)
      FROM unnest(m_id, v_code, v_left, m_last) u(id, code, pending, last)
      WHERE u.code = 0 AND u.pending > 0 AND m.queue_id = u.id AND (u.last OR m.claim_worker IS NULL);
  END IF;
  RETURN QUERY SELECT u.n, u.code, u.pending
    FROM unnest(v_code, v_left) WITH ORDINALITY u(code, pending, n);
END
$$;

-- The worker goes: its shards are free, its claims over. What it did not end is due at once.
CREATE FUNCTION queue_leave(p_worker bigint, p_claims bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE queue_messages
    SET claim_worker = NULL, claim_expires_at = NULL,
        next_due = queue_next_due(queue_id, hold, hold_until)
    WHERE queue_id = ANY (p_claims) AND claim_worker = p_worker;
  UPDATE queue_shards SET worker = NULL, epoch = epoch + 1 WHERE worker = p_worker;
  DELETE FROM queue_workers WHERE worker = p_worker;
END
$$;

-- Without a word to anybody.
CREATE FUNCTION queue_remove(p_ids bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_ids bigint[];
BEGIN
  SELECT array_agg(queue_id) INTO v_ids FROM (
    SELECT queue_id FROM queue_messages WHERE queue_id = ANY (p_ids) ORDER BY queue_id FOR UPDATE) m;
  DELETE FROM queue_recipients WHERE queue_id = ANY (v_ids);
  DELETE FROM queue_chunks WHERE queue_id = ANY (v_ids);
  DELETE FROM queue_messages WHERE queue_id = ANY (v_ids);
  RETURN coalesce(cardinality(v_ids), 0);
END
$$;

-- Removes staged bodies that nobody enqueued and keys that nobody needs. Returns how many.
CREATE FUNCTION queue_sweep(p_now timestamptz, p_limit bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_ids bigint[];
  v_keys bigint;
BEGIN
  SELECT array_agg(queue_id) INTO v_ids FROM (
    SELECT queue_id FROM queue_staged WHERE expires_at < p_now ORDER BY expires_at LIMIT p_limit
    FOR UPDATE SKIP LOCKED) s;
  DELETE FROM queue_staged WHERE queue_id = ANY (v_ids);
  DELETE FROM queue_chunks c WHERE c.queue_id = ANY (v_ids)
    AND NOT EXISTS (SELECT FROM queue_messages m WHERE m.queue_id = c.queue_id);
  DELETE FROM queue_keys k WHERE k.idempotency_key IN (
    SELECT x.idempotency_key FROM queue_keys x WHERE x.expires_at < p_now
      AND NOT EXISTS (SELECT FROM queue_messages m WHERE m.queue_id = x.queue_id)
    ORDER BY x.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS v_keys = ROW_COUNT;
  RETURN coalesce(cardinality(v_ids), 0) + v_keys;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON queue_keys, queue_staged TO godwit_delivery_queue;
GRANT SELECT ON queue_keys, queue_staged TO godwit_reader;
GRANT EXECUTE ON FUNCTION queue_next_due, queue_enqueue, queue_beat, queue_record, queue_leave,
  queue_remove, queue_sweep TO godwit_delivery_queue;
-- Enqueue asks whose message it is, and whether he may.
GRANT SELECT (account_id, disabled) ON accounts TO godwit_delivery_queue;
