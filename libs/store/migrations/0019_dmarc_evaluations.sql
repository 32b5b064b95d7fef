-- What DMARC aggregate reports are made from (RFC 9990), and when they go: a period is a policy domain
-- and a UTC day (or the interval that it asks for, RFC 7489 ri=); its rows are counters, never messages.
-- Bounded: rows of a period, and of all open periods, by whoever adds (auth-verifier).
CREATE TABLE dmarc_periods (
  policy_domain text NOT NULL,              -- lower-case A-labels
  begins_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,              -- of the report; later after a failure
  record text NOT NULL,                     -- of the policy, as it was seen last
  wanted boolean NOT NULL,                  -- false: only mail to report addresses; such a report is not
                                            -- sent, or two reporters would talk for ever
  row_count bigint NOT NULL DEFAULT 0,
  dropped bigint NOT NULL DEFAULT 0,        -- messages that found no room for a row
  sent_to text[] NOT NULL DEFAULT '{}',     -- addresses that have it
  done_at timestamptz,
  outcome text NOT NULL DEFAULT '',         -- for people
  PRIMARY KEY (policy_domain, begins_at)
);
CREATE INDEX dmarc_periods_due ON dmarc_periods (due_at) WHERE done_at IS NULL;
CREATE INDEX dmarc_periods_ends ON dmarc_periods (ends_at);

CREATE TABLE dmarc_rows (
  policy_domain text NOT NULL,
  begins_at timestamptz NOT NULL,
  row_key bytea NOT NULL,                   -- digest of all that follows, but for the number
  source_ip bytea NOT NULL,                 -- 4 or 16 octets
  header_from text NOT NULL,
  envelope_from text NOT NULL,              -- domains, both
  envelope_to text NOT NULL,
  disposition text NOT NULL,
  dkim_aligned boolean NOT NULL,
  spf_aligned boolean NOT NULL,
  reasons text NOT NULL,                    -- a line each: "type comment"
  dkim text NOT NULL,                       -- a line each: "domain selector result"
  spf_domain text NOT NULL,
  spf_result text NOT NULL,                 -- '' for none
  failure text NOT NULL,                    -- why fo= asks for a failure report (RFC 9991): "d:s"; '' no
  messages bigint NOT NULL,
  PRIMARY KEY (policy_domain, begins_at, row_key),
  FOREIGN KEY (policy_domain, begins_at) REFERENCES dmarc_periods ON DELETE CASCADE
);
ALTER TABLE dmarc_rows SET (fillfactor = 75);
CREATE INDEX dmarc_rows_failure ON dmarc_rows (begins_at) WHERE failure <> '';

-- Whom no report is sent to: "user@domain", or "@domain" for all of it.
CREATE TABLE report_suppressions (
  destination text PRIMARY KEY,
  expires_at timestamptz,                   -- NULL: never
  reason text NOT NULL,
  created_at timestamptz NOT NULL
);

-- Work that one replica does at a time. Who does not come back loses it.
CREATE TABLE report_leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  expires_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON dmarc_periods, dmarc_rows TO godwit_auth_verifier;
GRANT SELECT, INSERT, UPDATE ON report_leases TO godwit_auth_verifier;
GRANT SELECT ON report_suppressions TO godwit_auth_verifier;
GRANT SELECT ON dmarc_periods, dmarc_rows, report_suppressions, report_leases TO godwit_reader;
