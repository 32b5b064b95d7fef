-- The change of a domain's signing key for a new one, a step at a time: its record is published, has to
-- be seen for as long as caches may know otherwise, the new key takes over, and the old ones are
-- forgotten when the mail they signed has arrived.

CREATE TABLE dkim_rotations (
  domain text NOT NULL REFERENCES domains ON DELETE CASCADE,
  algorithm text NOT NULL,
  selector text NOT NULL,                    -- of the new key
  state text NOT NULL DEFAULT 'publish' CHECK (state IN ('publish', 'wait', 'retire', 'done')),
  started_at timestamptz NOT NULL,
  seen_at timestamptz,                       -- since when the record is seen at every look
  ttl_seconds bigint NOT NULL DEFAULT 0,     -- the longest that was seen of it
  switched_at timestamptz,                   -- since when the new key signs
  old_selectors text[] NOT NULL DEFAULT '{}',-- what signed before; forgotten in the end
  done_at timestamptz,
  PRIMARY KEY (domain, algorithm),
  -- Whoever removes the new key gives the rotation up.
  FOREIGN KEY (domain, selector) REFERENCES dkim_keys ON DELETE CASCADE
);
GRANT SELECT ON dkim_rotations TO godwit_reader;
