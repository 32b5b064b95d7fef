-- Renewing MTA-STS policies: who was tried lately waits behind the others, so that servers that are
-- gone do not keep the rest from being renewed.
ALTER TABLE sts_policies ADD COLUMN tried_at timestamptz NOT NULL DEFAULT '-infinity';
