-- FindSenderRight's answer has changed for domains whose mail goes on: the catch-all and the
-- installation's postmaster stand in for nobody there, for those whom they would stand in for are at
-- the other server.
CREATE OR REPLACE FUNCTION may_sign(in_account bigint, in_domain text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM domains d WHERE d.name = in_domain AND (
    (d.catch_all_account = in_account AND (d.kind = 'local' OR d.listed_only))
    OR coalesce(d.postmaster_account,
                CASE WHEN d.kind = 'local' THEN (SELECT s.value::bigint FROM settings s
                                                 WHERE s.name = 'postmaster') END) = in_account
    OR EXISTS (SELECT FROM addresses a WHERE a.domain = d.name AND a.account_id = in_account)
    OR EXISTS (SELECT FROM alias_members m
               JOIN addresses own ON own.domain = m.domain AND own.local_part IN (
                 m.local_part,
                 local_part_at(m.domain, m.local_part, lower(m.local_part COLLATE "C")))
               JOIN addresses a ON a.alias_id = m.alias_id
               WHERE own.account_id = in_account AND a.domain = d.name)))
$$;
