-- submission runs for real now, and needs less than it was given: who logs in (verifiers, disabled),
-- whose an address is, and whether a mailbox is full. The names of accounts and what lies in them is
-- none of its business.
REVOKE SELECT (name, email_count) ON accounts FROM godwit_submission;
