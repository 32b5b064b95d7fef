-- Whom the other server of a domain takes mail for may be asked of that server.
ALTER TABLE domains ADD COLUMN callout boolean NOT NULL DEFAULT false;
