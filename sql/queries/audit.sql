-- The audit trail.

-- name: audit.last
-- Who asked for the verb $1 on any of subjects $2 last, and why.
select actor, reason, subject from strandline.ing_audit_event where subject = any($2::text[]) and verb = $1 order by id desc limit 1;

-- name: audit.write
-- $1 verb, $2 subject, $3 actor, $4 reason, $5 what it changed.
insert into strandline.ing_audit_event (verb, subject, actor, reason, detail) values ($1, $2, $3, $4, $5);
