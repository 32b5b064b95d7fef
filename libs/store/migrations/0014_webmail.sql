-- webmail-api: logins of the web page, uploads, and what was submitted over JMAP.

-- A login of the web page. The cookie names the account and carries a token of 256 random bits; only
-- its SHA-256 is here. A session ends with the credential it was made with.
CREATE TABLE web_sessions (
  account_id bigint NOT NULL,
  token_hash bytea NOT NULL,
  address text NOT NULL,                    -- that was logged in with
  credential_id bigint NOT NULL,
  credential_at timestamptz NOT NULL,       -- a password that was set anew is another credential
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, token_hash)
);
CREATE INDEX web_sessions_expires ON web_sessions (expires_at);

-- RFC 8620 §6.1: blobs that nothing refers to yet. Their octets are staged_blobs'.
CREATE TABLE uploads (
  account_id bigint NOT NULL,
  blob_id bigint NOT NULL,
  size bigint NOT NULL CHECK (size >= 0),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, blob_id)
);
CREATE INDEX uploads_expires ON uploads (expires_at);

-- RFC 8621 §7. The queue forgets what is done; this is what the client is told afterwards.
CREATE TABLE email_submissions (
  account_id bigint NOT NULL,
  submission_id bigint NOT NULL,
  identity_id text NOT NULL,
  email_id bigint NOT NULL,
  thread_id bigint NOT NULL,
  mail_from text NOT NULL,
  rcpt_to text[] NOT NULL,
  queue_id bigint NOT NULL,
  send_at timestamptz NOT NULL,
  created_modseq bigint NOT NULL,
  PRIMARY KEY (account_id, submission_id)
);
CREATE INDEX email_submissions_modseq ON email_submissions (account_id, created_modseq);

-- Goes with the account, whatever remove_account() is by then.
CREATE FUNCTION forget_web_of_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM web_sessions WHERE account_id = OLD.account_id;
  DELETE FROM uploads WHERE account_id = OLD.account_id;
  DELETE FROM email_submissions WHERE account_id = OLD.account_id;
  RETURN NULL;
END
$$;
CREATE TRIGGER accounts_forget_web AFTER DELETE ON accounts
  FOR EACH ROW EXECUTE FUNCTION forget_web_of_account();

-- Beyond p_max sessions the oldest one goes.
CREATE FUNCTION add_web_session(p_account bigint, p_token_hash bytea, p_address text,
  p_credential bigint, p_credential_at timestamptz, p_at timestamptz, p_expires timestamptz,
  p_max bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM accounts WHERE account_id = p_account FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such account' USING ERRCODE = 'ZG404';
  END IF;
  DELETE FROM web_sessions s USING (
    SELECT token_hash FROM web_sessions WHERE account_id = p_account
    ORDER BY created_at DESC OFFSET p_max - 1) o
    WHERE s.account_id = p_account AND s.token_hash = o.token_hash;
  INSERT INTO web_sessions VALUES (p_account, p_token_hash, p_address, p_credential,
    p_credential_at, p_at, p_expires);
END
$$;

-- A finished upload. Over p_max_bytes of them an account gets no more until some expire.
CREATE FUNCTION add_upload(p_account bigint, p_blob bigint, p_size bigint, p_expires timestamptz,
                           p_at timestamptz, p_max_bytes bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM accounts WHERE account_id = p_account FOR NO KEY UPDATE;
  IF p_max_bytes < p_size + (SELECT coalesce(sum(size), 0) FROM uploads
                             WHERE account_id = p_account AND expires_at > p_at) THEN
    RAISE EXCEPTION 'too much was uploaded' USING ERRCODE = 'ZG429';
  END IF;
  UPDATE staged_blobs SET expires_at = greatest(expires_at, p_expires)
    WHERE account_id = p_account AND blob_id = p_blob;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'staged blob has expired' USING ERRCODE = 'ZG412';
  END IF;
  INSERT INTO uploads VALUES (p_account, p_blob, p_size, p_expires);
END
$$;

-- What came to be in the queue. Keeps the last p_max of the account.
CREATE FUNCTION add_submission(p_account bigint, p_identity text, p_email bigint, p_thread bigint,
  p_mail_from text, p_rcpt_to text[], p_queue bigint, p_at timestamptz, p_max bigint)
RETURNS TABLE (modseq bigint, submission_id bigint, watchers text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_modseq bigint := lock_account(p_account);
  v_id bigint;
BEGIN
  UPDATE accounts SET modseq = v_modseq, submission_modseq = v_modseq, next_id = next_id + 1
    WHERE account_id = p_account RETURNING next_id - 1 INTO v_id;
  INSERT INTO email_submissions VALUES (p_account, v_id, p_identity, p_email, p_thread, p_mail_from,
    p_rcpt_to, p_queue, p_at, v_modseq);
  DELETE FROM email_submissions s USING (
    SELECT o.submission_id FROM email_submissions o WHERE o.account_id = p_account
    ORDER BY o.submission_id DESC OFFSET p_max) x
    WHERE s.account_id = p_account AND s.submission_id = x.submission_id;
  RETURN QUERY SELECT v_modseq, v_id, watchers_of(p_account);
END
$$;

GRANT SELECT, UPDATE, DELETE ON web_sessions TO godwit_webmail_api;
GRANT SELECT, DELETE ON uploads TO godwit_webmail_api;
GRANT SELECT ON email_submissions TO godwit_webmail_api;
GRANT EXECUTE ON FUNCTION add_web_session, add_upload, add_submission TO godwit_webmail_api;
GRANT SELECT ON uploads, email_submissions TO godwit_reader;
GRANT SELECT (account_id, address, credential_id, credential_at, created_at, expires_at)
  ON web_sessions TO godwit_reader;
