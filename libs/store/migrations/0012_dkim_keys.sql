-- The life of a signing key: made (pending: its record is being published), active (it signs),
-- retired (it signs no more, its record stays in the DNS for mail under way), removed.

ALTER TABLE dkim_keys
  ADD COLUMN key_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,  -- never reused: caches go by it
  ADD COLUMN state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'active', 'retired')),
  ADD COLUMN activated_at timestamptz,
  ADD COLUMN retired_at timestamptz;
UPDATE dkim_keys SET state = CASE WHEN active THEN 'active' ELSE 'retired' END,
                     activated_at = created_at,
                     retired_at = CASE WHEN active THEN NULL ELSE created_at END;
-- No released program reads it.
ALTER TABLE dkim_keys DROP COLUMN active;
-- private_key is PKCS #8 (DER), public_key what p= holds (RFC 6376 §3.6.1, RFC 8463 §4.2).

-- Keys are made by administrators; auth-verifier signs with them, for accounts that have an address
-- in the domain.
REVOKE INSERT, UPDATE, DELETE ON dkim_keys FROM godwit_auth_verifier;
GRANT SELECT (domain, account_id) ON addresses TO godwit_auth_verifier;
GRANT SELECT (account_id, disabled) ON accounts TO godwit_auth_verifier;
GRANT SELECT (key_id, state, activated_at, retired_at) ON dkim_keys TO godwit_reader;
