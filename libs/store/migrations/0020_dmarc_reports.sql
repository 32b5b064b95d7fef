-- Reports that others send us about mail in the name of our domains.

-- Mail to such an address is looked into, and delivered all the same.
ALTER TABLE addresses ADD COLUMN reports boolean NOT NULL DEFAULT false;
CREATE INDEX addresses_reports ON addresses (domain, local_part) WHERE reports;

CREATE TABLE dmarc_reports (
  report_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  domain text NOT NULL,                     -- of ours, that it is about
  reporter text NOT NULL,                   -- author domain that passed DMARC
  organization text NOT NULL,
  report_id text NOT NULL,                  -- the reporter's
  begins_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  policy text NOT NULL,                     -- as the reporter saw it: "p=reject sp=none"
  errors text NOT NULL,
  messages bigint NOT NULL,
  failed bigint NOT NULL,                   -- aligned by neither DKIM nor SPF
  UNIQUE (domain, reporter, report_id, begins_at)
);
CREATE INDEX dmarc_reports_received ON dmarc_reports (received_at);

CREATE TABLE dmarc_report_rows (
  report_no bigint NOT NULL REFERENCES dmarc_reports ON DELETE CASCADE,
  row_no bigint NOT NULL,
  source_ip bytea NOT NULL,
  messages bigint NOT NULL,
  disposition text NOT NULL,
  dkim text NOT NULL,                       -- aligned: "pass", "fail"
  spf text NOT NULL,
  header_from text NOT NULL,
  envelope_from text NOT NULL,
  reasons text NOT NULL,                    -- a line each: "type comment"
  dkim_results text NOT NULL,               -- a line each: "domain selector result"
  spf_results text NOT NULL,                -- a line each: "domain result"
  PRIMARY KEY (report_no, row_no)
);

GRANT SELECT, INSERT, DELETE ON dmarc_reports, dmarc_report_rows TO godwit_auth_verifier;
GRANT SELECT ON dmarc_reports, dmarc_report_rows TO godwit_reader;
