-- Workers look at what has become due since they looked last, and only now and then at what lies
-- further back. So what is to be looked at at once must be due now, not at a time that is over.

-- As in 0013, but:
-- - r_state 'again' is for a recipient who stays pending and was not asked for: no attempt is counted;
-- - of a message that was given up meanwhile nothing waits for its next attempt;
-- - whom a first attempt has not come to is due at p_at, not when the message was enqueued.
CREATE OR REPLACE FUNCTION queue_record(
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
                      WHERE f.message = u.n AND f.no = r.recipient_no
                        AND f.state NOT IN ('pending', 'again')))
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
    -- Given up meanwhile: there is no next attempt to wait for.
    UPDATE queue_recipients r
      SET state = CASE WHEN f.state = 'again' THEN 'pending' ELSE f.state END,
          attempts = r.attempts + CASE WHEN f.state = 'again' THEN 0 ELSE 1 END,
          last_attempt_at = p_at, last_reply = f.reply,
          last_site = f.site, delayed_dsn_sent = r.delayed_dsn_sent OR f.delayed,
          next_attempt_at = CASE WHEN f.state NOT IN ('pending', 'again') THEN r.next_attempt_at
                                 WHEN EXISTS (SELECT FROM queue_messages g WHERE g.queue_id = r.queue_id
                                                AND g.give_up IS NOT NULL) THEN p_at
                                 ELSE f.next END
      FROM unnest(r_message, r_no, r_state, r_next, r_reply, r_site, r_delayed)
           f(message, no, state, next, reply, site, delayed)
      WHERE v_code[f.message] = 0 AND v_left[f.message] > 0 AND r.queue_id = m_id[f.message]
        AND r.recipient_no = f.no AND r.state = 'pending';
    -- A first attempt ends with its claim: whom it has not come to is due now, where workers look.
    UPDATE queue_recipients r SET next_attempt_at = p_at
      FROM unnest(m_id, m_epoch, v_code, m_last) WITH ORDINALITY u(id, epoch, code, last, n)
      WHERE u.code = 0 AND u.epoch = 0 AND u.last AND r.queue_id = u.id AND r.state = 'pending'
        AND r.next_attempt_at < p_at AND NOT EXISTS (
          SELECT FROM unnest(r_message, r_no) f(message, no)
          WHERE f.message = u.n AND f.no = r.recipient_no);
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

-- As in 0013; what the worker did not end is due at p_at.
CREATE FUNCTION queue_leave(p_worker bigint, p_claims bigint[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_ids bigint[];
BEGIN
  SELECT array_agg(queue_id) INTO v_ids FROM (
    SELECT queue_id FROM queue_messages WHERE queue_id = ANY (p_claims) AND claim_worker = p_worker
    ORDER BY queue_id FOR UPDATE) m;
  UPDATE queue_recipients SET next_attempt_at = p_at
    WHERE queue_id = ANY (v_ids) AND state = 'pending' AND next_attempt_at < p_at;
  UPDATE queue_messages
    SET claim_worker = NULL, claim_expires_at = NULL,
        next_due = queue_next_due(queue_id, hold, hold_until)
    WHERE queue_id = ANY (v_ids);
  UPDATE queue_shards SET worker = NULL, epoch = epoch + 1 WHERE worker = p_worker;
  DELETE FROM queue_workers WHERE worker = p_worker;
END
$$;
GRANT EXECUTE ON FUNCTION queue_leave(bigint, bigint[], timestamptz) TO godwit_delivery_queue;
