-- A row a counter, so that a daemon reads only what it counts itself, and may write only that: who takes
-- over smtp-ingress does not decide who may log in. No row can be one that readers choke on.
DROP TABLE shared_limits;
CREATE UNLOGGED TABLE shared_limits (
  replica bigint NOT NULL,                  -- random, of one run of a daemon
  counter text NOT NULL,                    -- 'failed-logins-day'
  at timestamptz NOT NULL,                  -- a lease: the database's clock
  networks text[] NOT NULL,                 -- '192.0.2.0/26'
  levels bigint[] NOT NULL,                 -- of each of them
  PRIMARY KEY (replica, counter),
  CHECK (cardinality(networks) = cardinality(levels) AND cardinality(networks) <= 1000
         AND array_position(networks, NULL) IS NULL AND array_position(levels, NULL) IS NULL
         AND 0 <= ALL (levels))
) WITH (fillfactor = 50);

ALTER TABLE shared_limits ENABLE ROW LEVEL SECURITY;
CREATE POLICY mail ON shared_limits TO godwit_smtp_ingress USING (counter LIKE 'smtp-%');
CREATE POLICY mail_of_users ON shared_limits TO godwit_submission USING (counter LIKE 'submission-%');
CREATE POLICY logins ON shared_limits TO godwit_submission, godwit_imap_gateway, godwit_webmail_api
  USING (counter LIKE 'failed-logins-%');
CREATE POLICY everything ON shared_limits FOR SELECT TO godwit_reader USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON shared_limits TO godwit_smtp_ingress, godwit_submission,
  godwit_imap_gateway, godwit_webmail_api;
GRANT SELECT ON shared_limits TO godwit_reader;

-- The clock that decides is the database's: whoever calls these could drop what was kept of today, or
-- make as many tables as he likes.
CREATE OR REPLACE FUNCTION add_refused_sessions(p_at timestamptz[], p_session text[],
  p_transaction bigint[], p_client text[], p_greeting_name text[], p_tls text[], p_mail_from text[],
  p_recipients text[], p_recipient_count bigint[], p_reply text[], p_reason text[], p_verdict text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_first timestamptz := now() - interval '7 days';
  v_last timestamptz := now() + interval '1 day';
BEGIN
  PERFORM make_refused_sessions_day(day)
    FROM (SELECT DISTINCT (least(greatest(t, v_first), v_last) AT TIME ZONE 'UTC')::date AS day
          FROM unnest(p_at) t) days;
  INSERT INTO refused_sessions
    SELECT least(greatest(at, v_first), v_last), session, transaction, client::inet, greeting_name, tls,
           mail_from, recipients, recipient_count, reply, reason, verdict
    FROM unnest(p_at, p_session, p_transaction, p_client, p_greeting_name, p_tls, p_mail_from,
                p_recipients, p_recipient_count, p_reply, p_reason, p_verdict)
      AS t (at, session, transaction, client, greeting_name, tls, mail_from, recipients,
            recipient_count, reply, reason, verdict);
END
$$;

-- Makes today's and tomorrow's partition and drops those of days that ended before p_oldest, but none of
-- the last two days. Returns how many went.
CREATE OR REPLACE FUNCTION keep_refused_sessions(p_now timestamptz, p_oldest timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_today date := (now() AT TIME ZONE 'UTC')::date;
  v_first date := least((p_oldest AT TIME ZONE 'UTC')::date, v_today - 1);
  v_name text;
  v_dropped bigint := 0;
BEGIN
  PERFORM make_refused_sessions_day(v_today);
  PERFORM make_refused_sessions_day(v_today + 1);
  FOR v_name IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'refused_sessions'::regclass
      AND CASE WHEN c.relname ~ '^refused_sessions_\d{8}$'
               THEN to_date(right(c.relname, 8), 'YYYYMMDD') < v_first ELSE false END
    ORDER BY 1
  LOOP
    -- Another replica may be at it.
    EXECUTE format('DROP TABLE IF EXISTS %I', v_name);
    v_dropped := v_dropped + 1;
  END LOOP;
  RETURN v_dropped;
END
$$;
