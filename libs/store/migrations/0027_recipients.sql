-- Recipients that lead elsewhere: domains whose mail goes on to another server, addresses with rules of
-- their own, and what forwarding needs.

ALTER TABLE domains
  -- relay: all of it goes on; local-then-relay: what no address here takes does.
  ADD COLUMN kind text NOT NULL DEFAULT 'local'
    CHECK (kind IN ('local', 'relay', 'local-then-relay')),
  ADD COLUMN next_hop text NOT NULL DEFAULT '',             -- HOST:PORT; '': by MX, without ourselves
  ADD COLUMN listed_only boolean NOT NULL DEFAULT false,    -- goes on for addresses that are here only
  ADD COLUMN case_sensitive boolean NOT NULL DEFAULT false;
-- Each character of `separator` is one from now on; nobody could set more than one before.

ALTER TABLE addresses
  ADD COLUMN relayed boolean NOT NULL DEFAULT false,        -- the next hop of the domain takes it
  ADD COLUMN refusal text NOT NULL DEFAULT '',              -- "550 5.1.6 Moved": what RCPT is answered
  ADD COLUMN senders text[] NOT NULL DEFAULT '{}',          -- who may send to it; none: anybody
  DROP CONSTRAINT addresses_check,
  ADD CONSTRAINT addresses_check CHECK (
    num_nonnulls(account_id, alias_id) + relayed::integer = 1
    OR num_nonnulls(account_id, alias_id) = 0 AND NOT relayed AND refusal <> '');

-- relay: smtp-ingress has said that the recipients are the other server's.
ALTER TABLE queue_messages
  DROP CONSTRAINT queue_messages_origin_check,
  ADD CONSTRAINT queue_messages_origin_check
    CHECK (origin IN ('submission', 'forward', 'dsn', 'report', 'local', 'relay'));

-- How a local part is written at a domain: as it came, or folded, as the domain has it. At domains of
-- others only they know.
CREATE FUNCTION local_part_at(p_domain text, p_kept text, p_folded text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT CASE WHEN case_sensitive THEN p_kept ELSE p_folded END
                   FROM domains WHERE name = p_domain), p_kept)
$$;
GRANT EXECUTE ON FUNCTION local_part_at TO godwit_smtp_ingress, godwit_submission,
  godwit_imap_gateway, godwit_delivery_queue, godwit_webmail_api, godwit_reader;

-- What envelope senders are signed with (SRS). The newest signs; those before it still verify. The same
-- for all replicas, and there from the beginning.
CREATE TABLE srs_secrets (
  secret_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  secret bytea NOT NULL CHECK (length(secret) >= 16),
  created_at timestamptz NOT NULL
);
INSERT INTO srs_secrets (secret, created_at)
  VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'), now());
GRANT SELECT ON srs_secrets TO godwit_smtp_ingress;
