-- What tls-policy keeps: MTA-STS policies of other domains, and what became of TLS with them.

-- RFC 8461 §3.3: a policy is good for its max_age, over every restart. Bounded by the domains that
-- mail goes to and by expires_at.
CREATE TABLE sts_policies (
  domain text PRIMARY KEY,
  record_id text NOT NULL,                  -- of the TXT record it was fetched for
  mode text NOT NULL CHECK (mode IN ('none', 'testing', 'enforce')),
  mx text[] NOT NULL,
  max_age_seconds bigint NOT NULL,
  fetched_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz NOT NULL              -- roughly: what nobody uses is not renewed
);
CREATE INDEX sts_policies_expires ON sts_policies (expires_at);
CREATE INDEX sts_policies_fetched ON sts_policies (fetched_at);

-- What reports of RFC 8460 are made from: counters, never sessions.
CREATE TABLE tls_policies_seen (
  day date NOT NULL,                        -- UTC
  domain text NOT NULL,                     -- policy-domain
  policy_key bytea NOT NULL,                -- digest of type and texts
  policy_type smallint NOT NULL,
  policy text[] NOT NULL,                   -- policy-string
  mx_patterns text[] NOT NULL,              -- mx-host
  PRIMARY KEY (day, domain, policy_key)
);
CREATE TABLE tls_outcomes (
  day date NOT NULL,
  domain text NOT NULL,
  policy_key bytea NOT NULL,
  result smallint NOT NULL,                 -- RFC 8460 §4.3; 1 is success
  mx_host text NOT NULL,
  mx_helo text NOT NULL,
  sending_ip bytea NOT NULL,
  receiving_ip bytea NOT NULL,
  reason text NOT NULL,
  sessions bigint NOT NULL,
  PRIMARY KEY (day, domain, policy_key, result, mx_host, mx_helo, sending_ip, receiving_ip, reason)
);
ALTER TABLE tls_outcomes SET (fillfactor = 75);

GRANT SELECT, INSERT, UPDATE, DELETE ON sts_policies, tls_policies_seen, tls_outcomes
  TO godwit_tls_policy;
GRANT SELECT ON sts_policies, tls_policies_seen, tls_outcomes TO godwit_reader;
