-- User data. account_id comes first in every primary key and stands in every query.

CREATE TABLE accounts (
  account_id bigint PRIMARY KEY CHECK (account_id > 0),
  name text NOT NULL,
  disabled boolean NOT NULL DEFAULT false,
  quota_bytes bigint NOT NULL DEFAULT 0 CHECK (quota_bytes >= 0),
  used_bytes bigint NOT NULL DEFAULT 0 CHECK (used_bytes >= 0),
  email_count bigint NOT NULL DEFAULT 0 CHECK (email_count >= 0),
  -- The counter all changes are ordered by, and the highest value a type has.
  modseq bigint NOT NULL DEFAULT 1,
  mailbox_modseq bigint NOT NULL DEFAULT 1,
  email_modseq bigint NOT NULL DEFAULT 1,
  thread_modseq bigint NOT NULL DEFAULT 1,
  submission_modseq bigint NOT NULL DEFAULT 1,
  identity_modseq bigint NOT NULL DEFAULT 1,
  -- The change log has everything above this.
  change_floor bigint NOT NULL DEFAULT 0,
  -- Ids of mailboxes, emails and credentials.
  next_id bigint NOT NULL DEFAULT 1,
  -- Starts at the second the account was made: an account made anew under the same address does not
  -- repeat the UIDVALIDITY that clients remember.
  next_uidvalidity bigint NOT NULL,
  next_keyword integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL
) WITH (fillfactor = 40);
CREATE INDEX accounts_name ON accounts (name, account_id);

CREATE TABLE mailboxes (
  account_id bigint NOT NULL,
  mailbox_id bigint NOT NULL,
  parent_id bigint NOT NULL,                -- 0: the root
  name text NOT NULL,
  role text NOT NULL,                       -- '' for none
  uidvalidity bigint NOT NULL,
  uidnext bigint NOT NULL DEFAULT 1,
  total bigint NOT NULL DEFAULT 0,
  unseen bigint NOT NULL DEFAULT 0,
  deleted bigint NOT NULL DEFAULT 0,
  deleted_unseen bigint NOT NULL DEFAULT 0,
  size bigint NOT NULL DEFAULT 0,
  highest_modseq bigint NOT NULL,
  created_modseq bigint NOT NULL,
  changed_modseq bigint NOT NULL,
  PRIMARY KEY (account_id, mailbox_id)
) WITH (fillfactor = 40);
CREATE UNIQUE INDEX mailboxes_name ON mailboxes (account_id, parent_id, name);
CREATE UNIQUE INDEX mailboxes_role ON mailboxes (account_id, role) WHERE role <> '';

CREATE TABLE subscriptions (
  account_id bigint NOT NULL,
  path text NOT NULL,
  PRIMARY KEY (account_id, path)
);

-- Immutable content. When an email last changed is what the change log and its entries say; a column
-- for it would rewrite this wide row with each flag.
CREATE TABLE emails (
  account_id bigint NOT NULL,
  email_id bigint NOT NULL,
  thread_id bigint NOT NULL,                -- emails with the same blob share the thread
  blob_id bigint NOT NULL,
  created_modseq bigint NOT NULL,
  received_at timestamptz NOT NULL,
  sent_at timestamptz,
  size bigint NOT NULL,
  header_size integer NOT NULL,
  prefix_size integer NOT NULL,
  has_attachment boolean NOT NULL,
  message_id text NOT NULL,
  subject_base text NOT NULL,
  subject text NOT NULL,
  from_text text NOT NULL,
  to_text text NOT NULL,
  cc_text text NOT NULL,
  bcc_text text NOT NULL,
  preview text NOT NULL,
  summary bytea NOT NULL,                   -- libs/mime's record
  PRIMARY KEY (account_id, email_id)
);
CREATE INDEX emails_thread ON emails (account_id, thread_id);

-- Chunk 0 is the header, 1.. the body in pieces of 256 KiB before compression.
CREATE TABLE blob_chunks (
  account_id bigint NOT NULL,
  blob_id bigint NOT NULL,
  seq integer NOT NULL,
  size integer NOT NULL,
  codec smallint NOT NULL,                  -- 0 as it is, 1 zstd
  data bytea NOT NULL,
  PRIMARY KEY (account_id, blob_id, seq)
);
ALTER TABLE blob_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

-- Bodies that are still arriving, and those whose last email was destroyed: the sweep's work.
CREATE TABLE staged_blobs (
  account_id bigint NOT NULL,
  blob_id bigint NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, blob_id)
);
CREATE INDEX staged_blobs_expires ON staged_blobs (expires_at);
CREATE TABLE dead_blobs (
  account_id bigint NOT NULL,
  blob_id bigint NOT NULL,
  thread_id bigint NOT NULL,                -- of its emails, 0 when it never had one
  died_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, blob_id)
);
CREATE INDEX dead_blobs_died ON dead_blobs (died_at);

-- Where an email lies. Flag changes must be HOT updates: no index may name flags, keywords, unseen or
-- modseq, and a quarter of each page stays free.
CREATE TABLE mailbox_entries (
  account_id bigint NOT NULL,
  mailbox_id bigint NOT NULL,
  uid bigint NOT NULL,
  email_id bigint NOT NULL,
  modseq bigint NOT NULL,
  received_at timestamptz NOT NULL,
  size bigint NOT NULL,
  flags integer NOT NULL,
  unseen boolean NOT NULL,
  keywords integer[] NOT NULL,              -- ascending
  PRIMARY KEY (account_id, mailbox_id, uid)
) WITH (fillfactor = 75);
CREATE UNIQUE INDEX mailbox_entries_email ON mailbox_entries (account_id, email_id, mailbox_id);

CREATE TABLE keywords (
  account_id bigint NOT NULL,
  keyword_id integer NOT NULL,
  name text NOT NULL,                       -- as it was first spelled
  PRIMARY KEY (account_id, keyword_id)
);
CREATE UNIQUE INDEX keywords_name ON keywords (account_id, lower(name COLLATE "C"));

CREATE TABLE threads (
  account_id bigint NOT NULL,
  thread_id bigint NOT NULL,
  created_modseq bigint NOT NULL,
  changed_modseq bigint NOT NULL,
  PRIMARY KEY (account_id, thread_id)
) WITH (fillfactor = 75);

-- RFC 8621 §3: emails that share a message id in Message-ID, In-Reply-To or References, and the base
-- subject, are one thread. The hash is of both.
CREATE TABLE thread_refs (
  account_id bigint NOT NULL,
  ref_hash bigint NOT NULL,
  thread_id bigint NOT NULL,
  PRIMARY KEY (account_id, ref_hash)
);

-- What happened, one row a change and mailbox. Kinds: 1 entries added, 2 flags changed, 3 entries
-- vanished (the tombstones), 4 mailbox made, 5 mailbox changed, 6 mailbox destroyed.
CREATE TABLE change_log (
  account_id bigint NOT NULL,
  modseq bigint NOT NULL,
  part smallint NOT NULL,
  kind smallint NOT NULL,
  mailbox_id bigint NOT NULL,
  uids int8multirange,
  email_ids bigint[],
  thread_ids bigint[],                      -- of emails added or destroyed
  at timestamptz NOT NULL,
  PRIMARY KEY (account_id, modseq, part)
);
CREATE INDEX change_log_at ON change_log (at);

-- Gateways and what they watch. UNLOGGED: a crash empties both, and a gateway that misses its own row
-- registers anew.
CREATE UNLOGGED TABLE gateways (
  gateway_id bigint PRIMARY KEY,
  daemon text NOT NULL,
  address text NOT NULL,
  beat_at timestamptz NOT NULL              -- a lease: the database's clock
);
CREATE UNLOGGED TABLE watchers (
  account_id bigint NOT NULL,
  gateway_id bigint NOT NULL,
  PRIMARY KEY (account_id, gateway_id)
);
CREATE INDEX watchers_gateway ON watchers (gateway_id);
