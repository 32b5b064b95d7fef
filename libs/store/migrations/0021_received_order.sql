-- Emails of a mailbox, and of an account, by when they were received: a page of Email/query costs the
-- page, not the mailbox. received_at never changes, so changes of flags stay HOT.
--
-- The condition always holds. It keeps these indexes from statements that say nothing of received_at: a
-- planner that knows no numbers yet took them for looking up one UID, and read the whole mailbox.
CREATE INDEX mailbox_entries_received ON mailbox_entries (account_id, mailbox_id, received_at, email_id)
  WHERE received_at IS NOT NULL;
CREATE INDEX emails_received ON emails (account_id, received_at, email_id)
  WHERE received_at IS NOT NULL;
