-- What clients of port 25 were refused, so that an operator can look up the id of a reply. Written in
-- batches, sampled above a rate, in a partition a day that is dropped as a whole.
CREATE TABLE refused_sessions (
  at timestamptz NOT NULL,
  session text NOT NULL,                    -- of the connection
  transaction integer NOT NULL,             -- 1, 2, ...; 0: outside of mail transactions
  client inet NOT NULL,
  greeting_name text NOT NULL,              -- of EHLO or HELO
  tls text NOT NULL,                        -- '': none
  mail_from text,                           -- '': <>; NULL: outside of mail transactions
  recipients text NOT NULL,                 -- the first ones, a line each, with the reply if refused
  recipient_count bigint NOT NULL,
  reply text NOT NULL,                      -- the last refusal
  reason text NOT NULL,
  verdict text NOT NULL                     -- as in Authentication-Results
) PARTITION BY RANGE (at);
CREATE INDEX refused_sessions_session ON refused_sessions (session);
CREATE INDEX refused_sessions_at ON refused_sessions (at);

-- Of a day (UTC), where it is not there. Two replicas find it missing at the same moment.
CREATE FUNCTION make_refused_sessions_day(p_day date)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_name text := 'refused_sessions_' || to_char(p_day, 'YYYYMMDD');
BEGIN
  IF to_regclass(v_name) IS NOT NULL THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(7307497712);
  IF to_regclass(v_name) IS NULL THEN
    EXECUTE format('CREATE TABLE %I PARTITION OF refused_sessions FOR VALUES FROM (%L) TO (%L)',
                   v_name, p_day::timestamp AT TIME ZONE 'UTC',
                   (p_day + 1)::timestamp AT TIME ZONE 'UTC');
  END IF;
END
$$;

CREATE FUNCTION add_refused_sessions(p_at timestamptz[], p_session text[], p_transaction bigint[],
  p_client text[], p_greeting_name text[], p_tls text[], p_mail_from text[], p_recipients text[],
  p_recipient_count bigint[], p_reply text[], p_reason text[], p_verdict text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM make_refused_sessions_day(day)
    FROM (SELECT DISTINCT (t AT TIME ZONE 'UTC')::date AS day FROM unnest(p_at) t) days;
  INSERT INTO refused_sessions
    SELECT at, session, transaction, client::inet, greeting_name, tls, mail_from, recipients,
           recipient_count, reply, reason, verdict
    FROM unnest(p_at, p_session, p_transaction, p_client, p_greeting_name, p_tls, p_mail_from,
                p_recipients, p_recipient_count, p_reply, p_reason, p_verdict)
      AS t (at, session, transaction, client, greeting_name, tls, mail_from, recipients,
            recipient_count, reply, reason, verdict);
END
$$;

-- Makes tomorrow's partition and drops those of days that ended before p_oldest. Returns how many went.
CREATE FUNCTION keep_refused_sessions(p_now timestamptz, p_oldest timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_name text;
  v_dropped bigint := 0;
BEGIN
  PERFORM make_refused_sessions_day((p_now AT TIME ZONE 'UTC')::date);
  PERFORM make_refused_sessions_day((p_now AT TIME ZONE 'UTC')::date + 1);
  FOR v_name IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'refused_sessions'::regclass
      AND to_date(right(c.relname, 8), 'YYYYMMDD') < (p_oldest AT TIME ZONE 'UTC')::date
    ORDER BY 1
  LOOP
    -- Another replica may be at it.
    EXECUTE format('DROP TABLE IF EXISTS %I', v_name);
    v_dropped := v_dropped + 1;
  END LOOP;
  RETURN v_dropped;
END
$$;

GRANT EXECUTE ON FUNCTION add_refused_sessions, keep_refused_sessions TO godwit_smtp_ingress;
GRANT SELECT ON refused_sessions TO godwit_reader;
