-- The ledger: the chain trigger -> plan -> slice -> task -> run -> batch, coverage and its merged intervals, cursors and events.
-- Hot tables carry no foreign keys to cursor, plan or provenance: the key-share locks of such keys would make a page's commit
-- wait for a planner. `strandline verify` checks what those keys would.

-- The chain ----------------------------------------------------------------------------------------------------------

create table strandline.ing_schedule_instance (
  id bigint generated always as identity primary key,
  provenance_code text not null,
  scheduler_code text not null,
  scheduler_job_id text not null,
  scheduler_log_id text not null,
  trigger_type_code text not null,
  triggered_at timestamptz not null default clock_timestamp(),
  trigger_params json not null,
  request_hash bytea not null,
  provenance_config_snapshot json not null,
  provenance_config_hash bytea not null,
  expr_proto_snapshot json,
  expr_proto_hash bytea,
  actor text not null,
  created_at timestamptz not null default now(),
  unique (scheduler_code, scheduler_job_id, scheduler_log_id)
);
comment on table strandline.ing_schedule_instance is 'The root of one external trigger, with everything that it asked for, frozen.';
comment on column strandline.ing_schedule_instance.id is 'Identity.';
comment on column strandline.ing_schedule_instance.provenance_code is 'The source.';
comment on column strandline.ing_schedule_instance.scheduler_code is 'Which scheduler fired.';
comment on column strandline.ing_schedule_instance.scheduler_job_id is 'The job there.';
comment on column strandline.ing_schedule_instance.scheduler_log_id is 'One firing of the job; a manual trigger draws a fresh one.';
comment on column strandline.ing_schedule_instance.trigger_type_code is 'What kind of trigger it was.';
comment on column strandline.ing_schedule_instance.triggered_at is 'When it fired; an open window ends here, less the lag.';
comment on column strandline.ing_schedule_instance.trigger_params is 'The request as it was made.';
comment on column strandline.ing_schedule_instance.request_hash is 'SHA-256 of the request: the same trigger with another request is refused.';
comment on column strandline.ing_schedule_instance.provenance_config_snapshot is 'Provider reference, version and configuration at that moment.';
comment on column strandline.ing_schedule_instance.provenance_config_hash is 'SHA-256 of the canonical form of that snapshot.';
comment on column strandline.ing_schedule_instance.expr_proto_snapshot is 'The filter expression at that moment, before it is localised to a slice.';
comment on column strandline.ing_schedule_instance.expr_proto_hash is 'SHA-256 of the canonical form of that expression.';
comment on column strandline.ing_schedule_instance.actor is 'Who triggered.';
comment on column strandline.ing_schedule_instance.created_at is 'When the row was written.';

create table strandline.ing_plan (
  id bigint generated always as identity primary key,
  plan_key bytea not null unique,
  schedule_instance_id bigint not null references strandline.ing_schedule_instance,
  stream_id bigint not null references strandline.ing_stream,
  cursor_id bigint,
  provenance_code text not null,
  operation_code text not null,
  slice_strategy_code text not null,
  slice_params json not null,
  window_from bigint,
  window_to bigint,
  window_spec json not null,
  time_zone text not null,
  expr_proto_hash bytea,
  generation bigint not null,
  total_slices bigint not null,
  status_code text not null,
  reason_code text,
  reason text,
  finished_at timestamptz,
  created_at timestamptz not null default now()
);
create index ing_plan_cursor on strandline.ing_plan (cursor_id);
create index ing_plan_instance on strandline.ing_plan (schedule_instance_id);
comment on table strandline.ing_plan is 'One total window and the way it is cut; the group of its tasks. Never executed itself.';
comment on column strandline.ing_plan.id is 'Identity.';
comment on column strandline.ing_plan.plan_key is 'SHA-256 of trigger identity, stream and part: a repeated trigger finds its own plan.';
comment on column strandline.ing_plan.schedule_instance_id is 'The trigger.';
comment on column strandline.ing_plan.stream_id is 'The stream.';
comment on column strandline.ing_plan.cursor_id is 'The namespace; null for a value, which has no window.';
comment on column strandline.ing_plan.provenance_code is 'The source.';
comment on column strandline.ing_plan.operation_code is 'What is done.';
comment on column strandline.ing_plan.slice_strategy_code is 'How the window is cut.';
comment on column strandline.ing_plan.slice_params is 'Parameters of that strategy, canonical.';
comment on column strandline.ing_plan.window_from is 'Inclusive lower bound of the window, in the cursor''s unit.';
comment on column strandline.ing_plan.window_to is 'Exclusive upper bound.';
comment on column strandline.ing_plan.window_spec is 'The window as it was asked for and where each bound came from.';
comment on column strandline.ing_plan.time_zone is 'Zone in which slices are aligned.';
comment on column strandline.ing_plan.expr_proto_hash is 'Identity of the filter expression.';
comment on column strandline.ing_plan.generation is 'Generation of the cursor that is planned in.';
comment on column strandline.ing_plan.total_slices is 'How many slices were cut or reopened.';
comment on column strandline.ing_plan.status_code is 'State; derived from the tasks when none is left.';
comment on column strandline.ing_plan.reason_code is 'Why it is empty, capped or closed.';
comment on column strandline.ing_plan.reason is 'The same for people.';
comment on column strandline.ing_plan.finished_at is 'When it was closed.';
comment on column strandline.ing_plan.created_at is 'When the row was written.';

create table strandline.ing_plan_slice (
  id bigint generated always as identity primary key,
  plan_id bigint not null,
  slice_no bigint not null,
  slice_signature bytea not null,
  slice_spec json not null,
  lo bigint,
  hi bigint,
  expr_hash bytea,
  expr_snapshot json,
  superseded boolean not null default false,
  created_at timestamptz not null default now()
);
create index ing_plan_slice_plan on strandline.ing_plan_slice (plan_id, slice_no);
comment on table strandline.ing_plan_slice is 'A half-open part of a plan''s window. Its status is its task''s.';
comment on column strandline.ing_plan_slice.id is 'Identity.';
comment on column strandline.ing_plan_slice.plan_id is 'The plan that first cut it.';
comment on column strandline.ing_plan_slice.slice_no is 'Position in that plan, from 1; ing_plan.total_slices has the number of all.';
comment on column strandline.ing_plan_slice.slice_signature is 'SHA-256 of namespace, strategy, spec and generation.';
comment on column strandline.ing_plan_slice.slice_spec is 'Its bounds as text, canonical.';
comment on column strandline.ing_plan_slice.lo is 'Inclusive lower bound in the cursor''s unit.';
comment on column strandline.ing_plan_slice.hi is 'Exclusive upper bound.';
comment on column strandline.ing_plan_slice.expr_hash is 'Identity of the localised expression.';
comment on column strandline.ing_plan_slice.expr_snapshot is 'The plan''s expression AND the slice''s range; null where the plan has none.';
comment on column strandline.ing_plan_slice.superseded is 'True when its window was cut anew.';
comment on column strandline.ing_plan_slice.created_at is 'When the row was written.';

create table strandline.ing_task (
  id bigint generated always as identity primary key,
  idempotent_key bytea not null,
  kind_code text not null default 'SLICE',
  plan_id bigint not null,
  slice_id bigint not null,
  cursor_id bigint,
  generation bigint not null,
  lo bigint,
  hi bigint,
  provenance_code text not null,
  operation_code text not null,
  credential text,
  params json,
  expr_hash bytea,
  priority smallint not null default 5 check (priority between 1 and 9),
  pool text not null default 'default',
  mutex_key text,
  labels jsonb,
  unmet integer not null default 0 check (unmet >= 0),
  mutex_waiting boolean not null default false,
  held boolean not null default false,
  cancel_requested_at timestamptz,
  attempt_no integer not null default 1,
  walk_no integer not null default 1,
  batch_no integer not null default 0,
  failures integer not null default 0,
  losses integer not null default 0,
  max_attempts integer not null default 5,
  max_losses integer not null default 10,
  scheduled_at timestamptz not null default clock_timestamp(),
  deadline_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  status_code text not null default 'QUEUED',
  reason_code text,
  last_error jsonb,
  created_at timestamptz not null default now()
);
create unique index ing_task_key on strandline.ing_task (idempotent_key);
create index ing_task_claim on strandline.ing_task (pool, priority, scheduled_at, id)
  where status_code = 'QUEUED' and unmet = 0 and not mutex_waiting and not held;
create index ing_task_claim_plan on strandline.ing_task (plan_id, priority, scheduled_at, id)
  where status_code = 'QUEUED' and unmet = 0 and not mutex_waiting and not held;
create index ing_task_window on strandline.ing_task (cursor_id, generation, lo) where status_code <> 'SUCCEEDED';
create index ing_task_plan on strandline.ing_task (plan_id, status_code);
create index ing_task_deadline on strandline.ing_task (deadline_at) where status_code = 'QUEUED' and deadline_at is not null;
create index ing_task_mutex on strandline.ing_task (mutex_key, priority, scheduled_at, id)
  where mutex_waiting and status_code = 'QUEUED' and unmet = 0 and not held;
comment on table strandline.ing_task is 'The work for one slice or one value: idempotent key, priority, schedule, retries, limits.';
comment on column strandline.ing_task.id is 'Identity; run, batch and coverage are partitioned by it.';
comment on column strandline.ing_task.idempotent_key is 'SHA-256 of kind, slice signature, expression and normalised parameters.';
comment on column strandline.ing_task.kind_code is 'What it does.';
comment on column strandline.ing_task.plan_id is 'The plan that works on it now.';
comment on column strandline.ing_task.slice_id is 'Its slice.';
comment on column strandline.ing_task.cursor_id is 'Its namespace; null for a value.';
comment on column strandline.ing_task.generation is 'Generation of the namespace.';
comment on column strandline.ing_task.lo is 'Inclusive lower bound in the cursor''s unit.';
comment on column strandline.ing_task.hi is 'Exclusive upper bound.';
comment on column strandline.ing_task.provenance_code is 'The source.';
comment on column strandline.ing_task.operation_code is 'What is done.';
comment on column strandline.ing_task.credential is 'Name of the secret reference that it needs; never the secret.';
comment on column strandline.ing_task.params is 'Parameters of the request; null for none.';
comment on column strandline.ing_task.expr_hash is 'Identity of the localised expression.';
comment on column strandline.ing_task.priority is '1 first to 9 last.';
comment on column strandline.ing_task.pool is 'Which workers may claim it.';
comment on column strandline.ing_task.mutex_key is 'Tasks of one key take turns.';
comment on column strandline.ing_task.labels is 'Free key-value pairs.';
comment on column strandline.ing_task.unmet is 'How many dependencies are not satisfied.';
comment on column strandline.ing_task.mutex_waiting is 'Waits to be admitted by its mutex.';
comment on column strandline.ing_task.held is 'Paused by an operator.';
comment on column strandline.ing_task.cancel_requested_at is 'When cancelling was asked for; read by every move back to QUEUED.';
comment on column strandline.ing_task.attempt_no is 'Number of the current or next run; only grows.';
comment on column strandline.ing_task.walk_no is 'Number of the current pass over the pages.';
comment on column strandline.ing_task.batch_no is 'Pages committed, as of the last run that ended.';
comment on column strandline.ing_task.failures is 'Failed runs since a page was committed.';
comment on column strandline.ing_task.losses is 'Lost leases since a page was committed.';
comment on column strandline.ing_task.max_attempts is 'Failures after which it is given up.';
comment on column strandline.ing_task.max_losses is 'Lost leases after which it is given up.';
comment on column strandline.ing_task.scheduled_at is 'Not before this time; never earlier than the moment it became claimable.';
comment on column strandline.ing_task.deadline_at is 'Not claimed after this time.';
comment on column strandline.ing_task.started_at is 'First claim.';
comment on column strandline.ing_task.finished_at is 'Last end.';
comment on column strandline.ing_task.status_code is 'State.';
comment on column strandline.ing_task.reason_code is 'Why it waits or ended.';
comment on column strandline.ing_task.last_error is 'The last failure: kind, message, where.';
comment on column strandline.ing_task.created_at is 'When the row was written.';

create table strandline.ing_task_dependency (
  task_id bigint not null,
  requires_task_id bigint not null,
  kind_code text not null default 'ALL_SUCCEEDED' check (kind_code in ('ALL_SUCCEEDED', 'ALL_RESOLVED')),
  satisfied boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (task_id, requires_task_id),
  check (requires_task_id < task_id)
);
create index ing_task_dependency_children on strandline.ing_task_dependency (requires_task_id) where not satisfied;
comment on table strandline.ing_task_dependency is 'Edges between tasks; a parent''s id is smaller, so that no cycle can exist.';
comment on column strandline.ing_task_dependency.task_id is 'The task that waits.';
comment on column strandline.ing_task_dependency.requires_task_id is 'The task that it waits for.';
comment on column strandline.ing_task_dependency.kind_code is 'ALL_SUCCEEDED, or ALL_RESOLVED which any end satisfies.';
comment on column strandline.ing_task_dependency.satisfied is 'True once the parent ended so.';
comment on column strandline.ing_task_dependency.created_at is 'When the row was written.';

create sequence strandline.ing_task_run_id_seq;
create table strandline.ing_task_run (
  id bigint not null default nextval('strandline.ing_task_run_id_seq'),
  task_id bigint not null,
  attempt_no integer not null,
  worker text not null,
  status_code text not null,
  leased_until timestamptz not null,
  heartbeat_at timestamptz,
  cancel_requested_at timestamptz,
  checkpoint json,
  walk_no integer not null,
  batch_no integer not null,
  record_count bigint not null default 0,
  window_from bigint,
  window_to bigint,
  end_reason_code text,
  ended_by text,
  errors jsonb,
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (task_id, attempt_no)
) partition by range (task_id);
alter sequence strandline.ing_task_run_id_seq owned by strandline.ing_task_run.id;
create index ing_task_run_live on strandline.ing_task_run (task_id) where status_code in ('PLANNED', 'RUNNING');
comment on table strandline.ing_task_run is 'One attempt at a task. A run is the lease: who holds it, until when, and the fence of every write.';
comment on column strandline.ing_task_run.id is 'Identity.';
comment on column strandline.ing_task_run.task_id is 'The task.';
comment on column strandline.ing_task_run.attempt_no is 'Number of the attempt: the fencing token.';
comment on column strandline.ing_task_run.worker is 'Who holds it: host:pid:number.';
comment on column strandline.ing_task_run.status_code is 'State.';
comment on column strandline.ing_task_run.leased_until is 'When the lease passes; in no index, so that renewals stay HOT.';
comment on column strandline.ing_task_run.heartbeat_at is 'Last sign of life.';
comment on column strandline.ing_task_run.cancel_requested_at is 'Copied from the task.';
comment on column strandline.ing_task_run.checkpoint is 'Position after the last committed page, byte for byte; null for the beginning.';
comment on column strandline.ing_task_run.walk_no is 'Which pass over the pages.';
comment on column strandline.ing_task_run.batch_no is 'Pages committed by the task so far; compared and set by the fence.';
comment on column strandline.ing_task_run.record_count is 'Records committed by this run.';
comment on column strandline.ing_task_run.window_from is 'Lower bound of the task when it was claimed.';
comment on column strandline.ing_task_run.window_to is 'Upper bound of the task when it was claimed.';
comment on column strandline.ing_task_run.end_reason_code is 'Why it ended.';
comment on column strandline.ing_task_run.ended_by is 'Who ended it.';
comment on column strandline.ing_task_run.errors is 'Causes: [{origin, kind, message, where}].';
comment on column strandline.ing_task_run.started_at is 'First page or renewal.';
comment on column strandline.ing_task_run.finished_at is 'When it ended.';
comment on column strandline.ing_task_run.created_at is 'When it was claimed.';

create sequence strandline.ing_task_run_batch_id_seq;
create table strandline.ing_task_run_batch (
  id bigint not null default nextval('strandline.ing_task_run_batch_id_seq'),
  task_id bigint not null,
  batch_no integer not null,
  run_id bigint not null,
  slice_id bigint not null,
  plan_id bigint not null,
  walk_no integer not null,
  page_no integer not null,
  page_size bigint not null,
  before_token json,
  after_token json,
  idempotent_key bytea not null,
  record_count bigint not null,
  inserted_count bigint not null default 0,
  updated_count bigint not null default 0,
  unchanged_count bigint not null default 0,
  deleted_count bigint not null default 0,
  rejected_count bigint not null default 0,
  byte_count bigint not null default 0,
  content_digest bytea not null,
  status_code text not null,
  error jsonb,
  started_at timestamptz,
  finished_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default now(),
  primary key (task_id, batch_no)
) partition by range (task_id);
alter sequence strandline.ing_task_run_batch_id_seq owned by strandline.ing_task_run_batch.id;
create index ing_task_run_batch_id on strandline.ing_task_run_batch (id);
comment on table strandline.ing_task_run_batch is 'One committed page: the unit of resume and of proof.';
comment on column strandline.ing_task_run_batch.id is 'Identity; the value of _sl_batch in target rows.';
comment on column strandline.ing_task_run_batch.task_id is 'The task.';
comment on column strandline.ing_task_run_batch.batch_no is 'Number of the page in the task, from 1, over all runs and walks.';
comment on column strandline.ing_task_run_batch.run_id is 'The run that committed it.';
comment on column strandline.ing_task_run_batch.slice_id is 'The slice.';
comment on column strandline.ing_task_run_batch.plan_id is 'The plan that worked on the task then.';
comment on column strandline.ing_task_run_batch.walk_no is 'Which pass over the pages.';
comment on column strandline.ing_task_run_batch.page_no is 'Number of the page in that run, from 1.';
comment on column strandline.ing_task_run_batch.page_size is 'Records that the provider returned.';
comment on column strandline.ing_task_run_batch.before_token is 'Position before the page; null for the beginning.';
comment on column strandline.ing_task_run_batch.after_token is 'Position after the page; null for none.';
comment on column strandline.ing_task_run_batch.idempotent_key is 'SHA-256 of task key, walk and batch number.';
comment on column strandline.ing_task_run_batch.record_count is 'Records that reached the target''s statement.';
comment on column strandline.ing_task_run_batch.inserted_count is 'Rows added.';
comment on column strandline.ing_task_run_batch.updated_count is 'Rows changed.';
comment on column strandline.ing_task_run_batch.unchanged_count is 'Records that changed nothing.';
comment on column strandline.ing_task_run_batch.deleted_count is 'Rows removed.';
comment on column strandline.ing_task_run_batch.rejected_count is 'Records set aside.';
comment on column strandline.ing_task_run_batch.byte_count is 'Encoded bytes.';
comment on column strandline.ing_task_run_batch.content_digest is 'SHA-256 of the encoded fields without lineage, in source order.';
comment on column strandline.ing_task_run_batch.status_code is 'State.';
comment on column strandline.ing_task_run_batch.error is 'Why it was skipped or refused.';
comment on column strandline.ing_task_run_batch.started_at is 'When the page was asked for.';
comment on column strandline.ing_task_run_batch.finished_at is 'When the batch row was written, in the page''s transaction.';
comment on column strandline.ing_task_run_batch.created_at is 'When the page''s transaction began.';

-- Coverage, cursor, ledger -------------------------------------------------------------------------------------------

create table strandline.ing_cursor (
  id bigint generated always as identity primary key,
  provenance_code text not null,
  operation_code text not null,
  cursor_key text not null,
  namespace_scope_code text not null,
  namespace_key bytea not null,
  cursor_type_code text not null,
  time_zone text not null,
  origin bigint not null,
  value json,
  value_norm bigint not null,
  observed_max bigint,
  generation bigint not null default 1,
  minimum_generation bigint not null default 1,
  version bigint not null default 0,
  head_sequence_no bigint not null default 0,
  head_hash bytea,
  created_at timestamptz not null default now(),
  unique (provenance_code, operation_code, cursor_key, namespace_scope_code, namespace_key)
);
alter table strandline.ing_cursor set (fillfactor = 70);
comment on table strandline.ing_cursor is 'The watermark of a namespace, derived from coverage; the row on which its planners take turns.';
comment on column strandline.ing_cursor.id is 'Identity.';
comment on column strandline.ing_cursor.provenance_code is 'The source.';
comment on column strandline.ing_cursor.operation_code is 'What is done; BACKFILL works in HARVEST''s namespace.';
comment on column strandline.ing_cursor.cursor_key is 'The target.';
comment on column strandline.ing_cursor.namespace_scope_code is 'What tells it from other cursors of the target.';
comment on column strandline.ing_cursor.namespace_key is 'SHA-256 of parameters and expression; 32 zero bytes where there are none.';
comment on column strandline.ing_cursor.cursor_type_code is 'What its bounds count.';
comment on column strandline.ing_cursor.time_zone is 'Zone in which the value is shown and windows are aligned.';
comment on column strandline.ing_cursor.origin is 'Where coverage begins to count.';
comment on column strandline.ing_cursor.value is 'The watermark as the source spells it; for TOKEN the token to go on from.';
comment on column strandline.ing_cursor.value_norm is 'The watermark in the cursor''s unit: the end of the covered prefix.';
comment on column strandline.ing_cursor.observed_max is 'Largest bound ever covered.';
comment on column strandline.ing_cursor.generation is 'Newest generation.';
comment on column strandline.ing_cursor.minimum_generation is 'Generation whose intervals carry the watermark.';
comment on column strandline.ing_cursor.version is 'Counts every lock of a planner and every fold.';
comment on column strandline.ing_cursor.head_sequence_no is 'Number of the last event.';
comment on column strandline.ing_cursor.head_hash is 'Hash of the last event.';
comment on column strandline.ing_cursor.created_at is 'When the row was written.';

create table strandline.ing_interval (
  cursor_id bigint not null,
  generation bigint not null,
  lo bigint not null,
  hi bigint not null,
  created_at timestamptz not null default now(),
  primary key (cursor_id, generation, lo),
  check (lo < hi)
);
comment on table strandline.ing_interval is 'Merged coverage of a cursor: half-open, disjoint, not touching.';
comment on column strandline.ing_interval.cursor_id is 'The namespace.';
comment on column strandline.ing_interval.generation is 'The generation.';
comment on column strandline.ing_interval.lo is 'Inclusive lower bound in the cursor''s unit.';
comment on column strandline.ing_interval.hi is 'Exclusive upper bound.';
comment on column strandline.ing_interval.created_at is 'When the row was written.';

create table strandline.ing_coverage (
  task_id bigint not null,
  batch_no integer not null,
  cursor_id bigint not null,
  generation bigint not null,
  lo bigint not null,
  hi bigint not null,
  slice_id bigint not null,
  run_id bigint not null,
  record_count bigint not null,
  event_sequence_no bigint,
  created_at timestamptz not null default now(),
  primary key (task_id, batch_no),
  check (lo < hi)
) partition by range (task_id);
create index ing_coverage_unfolded on strandline.ing_coverage (cursor_id, generation, lo) where event_sequence_no is null;
create index ing_coverage_event on strandline.ing_coverage (cursor_id, event_sequence_no) where event_sequence_no is not null;
comment on table strandline.ing_coverage is 'Finished parts of a window: inserted once with the last page, stamped once by the fold.';
comment on column strandline.ing_coverage.task_id is 'The task.';
comment on column strandline.ing_coverage.batch_no is 'The task''s last batch of that part.';
comment on column strandline.ing_coverage.cursor_id is 'The namespace.';
comment on column strandline.ing_coverage.generation is 'The generation.';
comment on column strandline.ing_coverage.lo is 'Inclusive lower bound in the cursor''s unit.';
comment on column strandline.ing_coverage.hi is 'Exclusive upper bound.';
comment on column strandline.ing_coverage.slice_id is 'The slice.';
comment on column strandline.ing_coverage.run_id is 'The run that finished it.';
comment on column strandline.ing_coverage.record_count is 'Records of the part, over all runs of the walk.';
comment on column strandline.ing_coverage.event_sequence_no is 'The event that folded it; null until then.';
comment on column strandline.ing_coverage.created_at is 'When the row was written.';

create table strandline.ing_cursor_event (
  cursor_id bigint not null,
  sequence_no bigint not null,
  generation bigint not null,
  direction_code text not null,
  prev_value bigint,
  new_value bigint,
  intervals int8multirange not null,
  interval_count bigint not null,
  coverage_count bigint not null,
  coverage_digest bytea not null,
  actor text not null,
  reason text not null,
  prev_hash bytea,
  event_hash bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (cursor_id, sequence_no)
);
comment on table strandline.ing_cursor_event is 'The append-only, hash-chained ledger of every move of a watermark.';
comment on column strandline.ing_cursor_event.cursor_id is 'The namespace.';
comment on column strandline.ing_cursor_event.sequence_no is 'Number of the event, from 1, without gaps.';
comment on column strandline.ing_cursor_event.generation is 'Generation whose coverage it folded.';
comment on column strandline.ing_cursor_event.direction_code is 'What it did to the watermark.';
comment on column strandline.ing_cursor_event.prev_value is 'Watermark before, in the cursor''s unit.';
comment on column strandline.ing_cursor_event.new_value is 'Watermark after.';
comment on column strandline.ing_cursor_event.intervals is 'What was added, merged.';
comment on column strandline.ing_cursor_event.interval_count is 'How many merged intervals were added.';
comment on column strandline.ing_cursor_event.coverage_count is 'How many coverage rows it stamped.';
comment on column strandline.ing_cursor_event.coverage_digest is 'SHA-256 over the coverage rows that it stamped.';
comment on column strandline.ing_cursor_event.actor is 'Who moved it.';
comment on column strandline.ing_cursor_event.reason is 'Why.';
comment on column strandline.ing_cursor_event.prev_hash is 'Hash of the event before; null for the first.';
comment on column strandline.ing_cursor_event.event_hash is 'SHA-256 over all of the above and the namespace.';
comment on column strandline.ing_cursor_event.created_at is 'When the row was written.';
