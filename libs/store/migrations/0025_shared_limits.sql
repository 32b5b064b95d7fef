-- What replicas tell one another of networks that do much (libs/limit), so that a client does not get
-- each limit once a replica. One row a replica, replaced each second while there is something to tell:
-- no client can cause a row, and none of it is written to the log. UNLOGGED: a crash empties it.
CREATE UNLOGGED TABLE shared_limits (
  replica bigint PRIMARY KEY,               -- random, of one run of a daemon
  at timestamptz NOT NULL,                  -- a lease: the database's clock
  counters text[] NOT NULL,                 -- three arrays of one length
  networks text[] NOT NULL,                 -- '192.0.2.0/26'
  levels bigint[] NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE, DELETE ON shared_limits TO godwit_smtp_ingress, godwit_submission,
  godwit_imap_gateway, godwit_webmail_api;
GRANT SELECT ON shared_limits TO godwit_reader;
