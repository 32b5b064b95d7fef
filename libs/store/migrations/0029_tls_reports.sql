-- TLS reports (RFC 8460) that others send us about mail to our domains. In partitions of a month, by
-- the beginning of a report's period; whoever stores one has made sure that it is of the near past.
CREATE SEQUENCE tls_report_numbers;

CREATE TABLE tls_reports (
  begins_at timestamptz NOT NULL,
  report_no bigint NOT NULL DEFAULT nextval('tls_report_numbers'),
  domain text NOT NULL,                     -- of ours, of the first policy; lower-case A-labels
  reporter text NOT NULL,                   -- d= of the signature that proves it
  organization text NOT NULL,
  contact text NOT NULL,
  report_id text NOT NULL,                  -- the reporter's
  ends_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  successful bigint NOT NULL,               -- sessions of all its policies
  failed bigint NOT NULL,
  UNIQUE (begins_at, domain, reporter, report_id)
) PARTITION BY RANGE (begins_at);
CREATE INDEX tls_reports_number ON tls_reports (report_no);
CREATE INDEX tls_reports_received ON tls_reports (received_at);

CREATE TABLE tls_report_policies (
  begins_at timestamptz NOT NULL,
  report_no bigint NOT NULL,
  policy_no bigint NOT NULL,
  domain text NOT NULL,                     -- of ours, or a host below one
  policy_type text NOT NULL,
  policy text[] NOT NULL,                   -- policy-string
  mx_hosts text[] NOT NULL,
  successful bigint NOT NULL,
  failed bigint NOT NULL
) PARTITION BY RANGE (begins_at);
CREATE INDEX tls_report_policies_number ON tls_report_policies (report_no);

CREATE TABLE tls_report_failures (
  begins_at timestamptz NOT NULL,
  report_no bigint NOT NULL,
  policy_no bigint NOT NULL,
  result_type text NOT NULL,                -- RFC 8460 §4.3
  sending_ip bytea NOT NULL,                -- 4 or 16 octets, or none
  mx_host text NOT NULL,
  mx_helo text NOT NULL,
  receiving_ip bytea NOT NULL,
  sessions bigint NOT NULL,
  additional_info text NOT NULL,
  reason_code text NOT NULL
) PARTITION BY RANGE (begins_at);
CREATE INDEX tls_report_failures_number ON tls_report_failures (report_no);

-- Makes the partitions for a period that begins then, where they are not there. Two replicas find
-- them missing at the same moment.
CREATE FUNCTION make_tls_reports_month(p_begins_at timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_month timestamp := date_trunc('month', p_begins_at AT TIME ZONE 'UTC');
  v_suffix text := '_' || to_char(v_month, 'YYYYMM');
  v_table text;
BEGIN
  IF to_regclass('tls_report_failures' || v_suffix) IS NOT NULL THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(7307497713);
  FOREACH v_table IN ARRAY ARRAY['tls_reports', 'tls_report_policies', 'tls_report_failures'] LOOP
    IF to_regclass(v_table || v_suffix) IS NULL THEN
      EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                     v_table || v_suffix, v_table, v_month AT TIME ZONE 'UTC',
                     (v_month + interval '1 month') AT TIME ZONE 'UTC');
    END IF;
  END LOOP;
END
$$;

-- Drops the partitions of months that ended before p_oldest. Returns how many tables went.
CREATE FUNCTION keep_tls_reports(p_oldest timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_name text;
  v_dropped bigint := 0;
BEGIN
  FOR v_name IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent IN ('tls_reports'::regclass, 'tls_report_policies'::regclass,
                          'tls_report_failures'::regclass)
      AND to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month'
          <= p_oldest AT TIME ZONE 'UTC'
    ORDER BY 1
  LOOP
    -- Another replica may be at it.
    EXECUTE format('DROP TABLE IF EXISTS %I', v_name);
    v_dropped := v_dropped + 1;
  END LOOP;
  RETURN v_dropped;
END
$$;

GRANT SELECT, INSERT ON tls_reports TO godwit_tls_policy;
GRANT INSERT ON tls_report_policies, tls_report_failures TO godwit_tls_policy;
GRANT USAGE ON SEQUENCE tls_report_numbers TO godwit_tls_policy;
GRANT EXECUTE ON FUNCTION make_tls_reports_month, keep_tls_reports TO godwit_tls_policy;
GRANT SELECT ON tls_reports, tls_report_policies, tls_report_failures TO godwit_reader;
