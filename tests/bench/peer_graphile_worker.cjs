// No-op jobs through graphile-worker's own runner; run by queue_peers with NODE_PATH in build/bench.
// URI JOBS PROCESSES batched|single. Prints {"done", "seconds", "version"} from the first job begun to the last one completed.
"use strict";

const { fork } = require("node:child_process");
const { run, makeWorkerUtils, Logger } = require("graphile-worker");
const { version } = require("graphile-worker/package.json");
const { Pool } = require("pg");

const [uri, jobs, processes, mode] = process.argv.slice(2);
const concurrentJobs = 24;
const batched = {
  localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};
const preset = {
  worker: {
    connectionString: uri,
    concurrentJobs,
    maxPoolSize: concurrentJobs + 1,
    logger: new Logger(() => () => {}),
    ...(mode === "batched" ? batched : {}),
  },
};

// The clock that all processes of a machine share, in seconds.
const now = () => Number(process.hrtime.bigint()) / 1e9;

async function work() {
  let begun = null;
  const runner = await run({
    preset,
    noHandleSignals: true,
    taskList: {
      noop: () => {
        begun ??= now();
      },
    },
  });
  process.on("message", async () => {
    await runner.stop();
    process.send({ begun }, () => process.disconnect());
  });
}

async function main() {
  const pool = new Pool({ connectionString: uri, max: 1 });
  const utils = await makeWorkerUtils({ preset });
  await utils.migrate();
  await utils.release();
  await pool.query(
    `select graphile_worker.add_jobs(array(select json_populate_record(null::graphile_worker.job_spec,
       json_build_object('identifier', 'noop')) from generate_series(1, $1::int)))`,
    [Number(jobs)],
  );
  await pool.query("vacuum analyze graphile_worker._private_jobs");
  const workers = Array.from({ length: Number(processes) }, () =>
    fork(__filename, process.argv.slice(2), { env: { ...process.env, BENCH_WORKER: "1" } }),
  );
  const left = "select exists (select from graphile_worker._private_jobs) as more";
  while ((await pool.query(left)).rows[0].more) await new Promise((resolve) => setTimeout(resolve, 10));
  const ended = now();
  const begun = await Promise.all(
    workers.map((worker) => {
      const answer = new Promise((resolve) => worker.once("message", (message) => resolve(message.begun)));
      worker.send("stop");
      return answer;
    }),
  );
  await pool.end();
  const first = Math.min(...begun.filter((each) => each !== null));
  console.log(JSON.stringify({ done: Number(jobs), seconds: ended - first, version }));
}

(process.env.BENCH_WORKER ? work() : main()).catch((error) => {
  console.error(error);
  process.exit(1);
});
