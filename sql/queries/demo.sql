-- What the story of `make demo` shows of the ledger beyond what the verbs show.

-- name: demo.attempts
-- The runs of task $1, each with the first and the last page that it committed.
select r.attempt_no, r.worker, r.status_code, min(b.batch_no) as first_page, max(b.batch_no) as last_page
from strandline.ing_task_run r left join strandline.ing_task_run_batch b on b.task_id = r.task_id and b.run_id = r.id
where r.task_id = $1 group by r.task_id, r.attempt_no order by r.attempt_no;

-- name: demo.holder
-- The run that worker $1 holds now, if it holds one.
select task_id, attempt_no, batch_no from strandline.ing_task_run where status_code in ('PLANNED', 'RUNNING') and worker = $1;

-- name: demo.progress
-- How far the plans $1 are, and the records that they committed.
select count(*) as slices, count(*) filter (where t.status_code in ('QUEUED', 'RUNNING')) as pending,
  count(*) filter (where t.status_code = 'SUCCEEDED') as succeeded, count(*) filter (where t.status_code = 'FAILED') as failed,
  coalesce(sum(r.records), 0)::bigint as records
from strandline.ing_task t, lateral (select sum(x.record_count) as records from strandline.ing_task_run x where x.task_id = t.id) r
where t.plan_id = any($1::bigint[]);

-- name: demo.victim
-- Runs that have committed their first page and nothing more.
select task_id, attempt_no, worker, batch_no from strandline.ing_task_run where status_code = 'RUNNING' and batch_no = 1 order by task_id;
