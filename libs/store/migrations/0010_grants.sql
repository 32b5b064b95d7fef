-- Least rights. What changes mail goes through functions that run as the owner, so a daemon needs no
-- right on the tables behind them. This file is the whole of what a daemon may do.

GRANT USAGE ON SCHEMA public TO godwit_smtp_ingress, godwit_submission, godwit_imap_gateway,
  godwit_delivery_queue, godwit_auth_verifier, godwit_tls_policy, godwit_webmail_api, godwit_acme,
  godwit_reader;
-- The reader reads everything but what one can log in or sign with.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO godwit_reader;
REVOKE SELECT ON dkim_keys, credentials, server_keys FROM godwit_reader;
GRANT SELECT (domain, selector, algorithm, public_key, active, created_at) ON dkim_keys
  TO godwit_reader;
GRANT SELECT (account_id, credential_id, name, scopes, created_at) ON credentials TO godwit_reader;
GRANT SELECT ON schema_versions TO godwit_smtp_ingress, godwit_submission, godwit_imap_gateway,
  godwit_delivery_queue, godwit_auth_verifier, godwit_tls_policy, godwit_webmail_api, godwit_acme;

-- The directory is read by whoever routes or logs in.
GRANT SELECT ON domains, addresses, aliases, alias_members, settings
  TO godwit_smtp_ingress, godwit_submission, godwit_imap_gateway, godwit_delivery_queue,
     godwit_webmail_api;
GRANT SELECT ON domains TO godwit_auth_verifier, godwit_tls_policy, godwit_acme;

-- smtp-ingress: recipients, staging and delivering. It reads no mail, no password, no key.
GRANT SELECT (account_id, name, disabled, quota_bytes, used_bytes, email_count) ON accounts
  TO godwit_smtp_ingress;
GRANT EXECUTE ON FUNCTION stage_blob, stage_chunk, drop_staged_blob, deliver_group
  TO godwit_smtp_ingress, godwit_imap_gateway, godwit_webmail_api;
GRANT EXECUTE ON FUNCTION sweep_blobs, compact_change_log TO godwit_smtp_ingress,
  godwit_imap_gateway, godwit_webmail_api;
GRANT SELECT (account_id, modseq, at) ON change_log TO godwit_smtp_ingress;

-- Those that end logins.
GRANT SELECT ON account_scram, credentials, server_keys, admins
  TO godwit_submission, godwit_imap_gateway, godwit_webmail_api;
GRANT SELECT (account_id, name, disabled, quota_bytes, used_bytes, email_count) ON accounts
  TO godwit_submission;

-- Those that show mail.
GRANT SELECT ON accounts, mailboxes, subscriptions, emails, mailbox_entries, keywords, threads,
  change_log, gateways, watchers TO godwit_imap_gateway, godwit_webmail_api;
GRANT SELECT ON blob_chunks TO godwit_imap_gateway, godwit_webmail_api;
GRANT INSERT, UPDATE, DELETE ON gateways, watchers TO godwit_imap_gateway, godwit_webmail_api;
GRANT EXECUTE ON FUNCTION store_flags, copy_entries, expunge_entries, create_mailbox, rename_mailbox,
  delete_mailbox, set_subscribed, watch_account, beat_gateway, unregister_gateway,
  mailbox_at TO godwit_imap_gateway, godwit_webmail_api;

-- webmail-api serves the administration.
GRANT INSERT, UPDATE, DELETE ON domains, addresses, aliases, alias_members, settings, admins,
  account_scram TO godwit_webmail_api;
GRANT UPDATE (disabled, quota_bytes, name) ON accounts TO godwit_webmail_api;
GRANT DELETE ON credentials TO godwit_webmail_api;
GRANT EXECUTE ON FUNCTION set_credential, create_account, remove_account TO godwit_webmail_api;

-- auth-verifier: the signing keys.
GRANT SELECT, INSERT, UPDATE, DELETE ON dkim_keys TO godwit_auth_verifier;

-- delivery-queue: the queue, and nothing of the mailboxes.
GRANT SELECT, INSERT, UPDATE, DELETE ON queue_messages, queue_chunks, queue_recipients, queue_shards,
  queue_workers TO godwit_delivery_queue;
