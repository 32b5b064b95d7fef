-- Whose mail may be signed for a domain: whoever may be a sender there (FindSenderRight). That is
-- also the domain's postmaster, and the members of its aliases, who may be at home elsewhere.
-- Which of these may send is submission's policy.
CREATE FUNCTION may_sign(in_account bigint, in_domain text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM domains d WHERE d.name = in_domain AND (
    d.catch_all_account = in_account
    OR coalesce(d.postmaster_account, (SELECT s.value::bigint FROM settings s
                                       WHERE s.name = 'postmaster')) = in_account
    OR EXISTS (SELECT FROM addresses a WHERE a.domain = d.name AND a.account_id = in_account)
    OR EXISTS (SELECT FROM addresses own
               JOIN alias_members m ON m.domain = own.domain AND m.local_part = own.local_part
               JOIN addresses a ON a.alias_id = m.alias_id
               WHERE own.account_id = in_account AND a.domain = d.name)))
$$;
GRANT EXECUTE ON FUNCTION may_sign(bigint, text) TO godwit_auth_verifier;
