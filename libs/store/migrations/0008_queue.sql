-- The queue. It may live in a database of its own: nothing refers to the other tables.

-- One message. A row's shard is hash(queue id) mod 256, fixed when it is enqueued.
CREATE TABLE queue_messages (
  queue_id bigint PRIMARY KEY,              -- random
  shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 255),
  idempotency_key bytea NOT NULL UNIQUE,
  origin text NOT NULL CHECK (origin IN ('submission', 'forward', 'dsn', 'report', 'local')),
  account_id bigint,                        -- whose message it is, when somebody's
  client_address text NOT NULL DEFAULT '',
  reverse_path text NOT NULL,               -- '' for <>
  ret text NOT NULL DEFAULT '' CHECK (ret IN ('', 'FULL', 'HDRS')),   -- RFC 3461 §4.3
  envid text NOT NULL DEFAULT '',                                     -- RFC 3461 §4.4
  requiretls boolean NOT NULL DEFAULT false,                          -- RFC 8689
  smtputf8 boolean NOT NULL DEFAULT false,
  body_8bit boolean NOT NULL DEFAULT false,
  hold boolean NOT NULL DEFAULT false,
  hold_reason text NOT NULL DEFAULT '',
  hold_until timestamptz,                                             -- RFC 4865
  trace_id text NOT NULL DEFAULT '',
  size bigint NOT NULL,
  header_size integer NOT NULL,
  enqueued_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  -- The first attempt is of the replica that took the message: until then nobody else tries.
  claim_worker bigint,
  claim_epoch bigint,
  claim_expires_at timestamptz
);
CREATE INDEX queue_messages_shard ON queue_messages (shard, enqueued_at);
CREATE INDEX queue_messages_account ON queue_messages (account_id) WHERE account_id IS NOT NULL;

CREATE TABLE queue_chunks (
  queue_id bigint NOT NULL REFERENCES queue_messages ON DELETE CASCADE,
  seq integer NOT NULL,                     -- 0 the header, 1.. the body
  size integer NOT NULL,
  codec smallint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (queue_id, seq)
);
ALTER TABLE queue_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

-- Touched only when something durable changes: no index on what an attempt changes.
CREATE TABLE queue_recipients (
  queue_id bigint NOT NULL REFERENCES queue_messages ON DELETE CASCADE,
  recipient_no integer NOT NULL,
  local_part text NOT NULL,
  domain text NOT NULL,
  orcpt text NOT NULL DEFAULT '',           -- RFC 3461 §4.2, as it came
  notify smallint NOT NULL DEFAULT 0,       -- RFC 3461 §4.1: 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY
  state text NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'delivered', 'failed', 'dropped')),
  hold boolean NOT NULL DEFAULT false,
  attempts integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL,
  last_attempt_at timestamptz,
  last_reply text NOT NULL DEFAULT '',
  last_site text NOT NULL DEFAULT '',
  delayed_dsn_sent boolean NOT NULL DEFAULT false,
  PRIMARY KEY (queue_id, recipient_no)
) WITH (fillfactor = 75);

-- Leases use the database's clock. The epoch fences a worker that was away.
CREATE TABLE queue_shards (
  shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 255),
  worker bigint,
  epoch bigint NOT NULL DEFAULT 0,
  expires_at timestamptz
) WITH (fillfactor = 40);
INSERT INTO queue_shards (shard) SELECT generate_series(0, 255);

CREATE TABLE queue_workers (
  worker bigint PRIMARY KEY,
  address text NOT NULL,
  beat_at timestamptz NOT NULL
);
