#include "bindings/ledger.hpp"

#include <pybind11/stl.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "bindings/python_result.hpp"
#include "bindings/register.hpp"
#include "encode/column.hpp"
#include "pg/connection.hpp"
#include "pg/control.hpp"
#include "pg/cursor.hpp"
#include "pg/dictionary.hpp"
#include "pg/failpoint.hpp"
#include "pg/migration.hpp"
#include "pg/plan.hpp"
#include "pg/pool.hpp"
#include "pg/row.hpp"
#include "pg/table.hpp"
#include "pg/task.hpp"
#include "pg/verify.hpp"
#include "pg/version.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using DeclaredColumn = std::tuple<std::string, std::string, bool>;

std::vector<encode::Column> columns_of(const std::vector<DeclaredColumn>& columns) {
  std::vector<encode::Column> out;
  for (const auto& [name, type, required] : columns) out.push_back(encode::make_column(name, type, required));
  return out;
}

py::object pair_of(const core::Interval& interval) { return py::make_tuple(interval.lo, interval.hi); }

py::dict result_of(const pg::PlanResult& result) {
  py::list missing;
  for (const auto& each : result.missing) missing.append(pair_of(each));
  py::list bounds;
  for (const auto& each : result.slice_bounds) bounds.append(pair_of(each));
  py::dict out;
  out["plan_id"] = result.plan_id;
  out["plan_key"] = result.plan_key;
  out["schedule_instance_id"] = result.schedule_instance_id;
  out["stream_id"] = result.stream_id;
  out["cursor_id"] = result.cursor_id;
  out["status"] = result.status;
  out["reason_code"] = result.reason_code;
  out["reason"] = result.reason;
  out["slices"] = result.slices;
  out["window"] = result.window ? pair_of(*result.window) : py::none();
  out["window_source"] = py::module_::import("json").attr("loads")(result.window_spec);
  out["missing"] = missing;
  out["generation"] = result.generation;
  out["repeated"] = result.repeated;
  out["in_flight_plans"] = result.in_flight_plans;
  out["slice_bounds"] = bounds;
  return out;
}

py::dict plan(Ledger& ledger, const py::object& request) {
  const std::string text = json_text(request);
  pg::PlanResult result;
  {
    const py::gil_scoped_release released;
    result = pg::plan(ledger.session, nlohmann::json::parse(text));
  }
  return result_of(result);
}

// A question as a method: (text, its values) -> what `shape` makes of the rows.
template <class Shape>
auto question(pg::Table (*ask)(pg::Session&, const std::string&, const pg::Params&), Shape shape) {
  return [ask, shape](Ledger& ledger, const std::string& text, const py::args& values) {
    const pg::Params params = params_of(values);
    pg::Table rows;
    {
      const py::gil_scoped_release released;
      rows = ask(ledger.session, text, params);
    }
    return shape(rows);
  };
}

std::optional<std::vector<DeclaredColumn>> describe(Ledger& ledger, const std::string& schema,
                                                    const std::string& table) {
  const auto found = ledger.session.transact(
      pg::page_limits, [&](pg::Transaction& transaction) { return pg::describe_target(transaction, schema, table); });
  if (!found) return std::nullopt;
  std::vector<DeclaredColumn> out;
  for (const auto& column : *found) out.emplace_back(column.name, column.type, column.required);
  return out;
}

std::vector<std::string> shape(Ledger& ledger, const py::dict& target, const std::vector<DeclaredColumn>& columns,
                               bool dry_run) {
  const pg::Target wanted = target_of(target);
  const py::gil_scoped_release released;
  return pg::ensure_target(ledger.session, wanted, columns_of(columns), dry_run);
}

pg::Subject subject_of(const py::dict& of) {
  const auto id = [&](const char* name) { return of.contains(name) ? of[name].cast<std::int64_t>() : 0; };
  return {id("plan"), id("task"), id("cursor")};
}

// A verb on tasks as a method: (of, what else the verb takes) -> [{task_id, status}].
template <class... Rest>
auto method(std::vector<pg::Left> (*verb)(pg::Session&, const pg::Subject&, Rest...)) {
  return [verb](Ledger& ledger, const py::dict& of, Rest... rest) {
    const auto subject = subject_of(of);
    std::vector<pg::Left> left;
    {
      const py::gil_scoped_release released;
      left = verb(ledger.session, subject, rest...);
    }
    py::list out;
    for (const auto& each : left) {
      py::dict entry;
      entry["task_id"] = each.task;
      entry["status"] = each.status;
      out.append(entry);
    }
    return out;
  };
}

py::dict split(Ledger& ledger, std::int64_t task, const std::string& strategy, const std::string& actor,
               const std::string& reason) {
  pg::SplitResult result;
  {
    const py::gil_scoped_release released;
    result = pg::split(ledger.session, task, strategy, actor, reason);
  }
  py::dict out;
  out["slices"] = result.tasks.size();
  out["covered"] = result.covered ? py::object{py::make_tuple(result.covered->lo, result.covered->hi)} : py::none{};
  out["tasks"] = result.tasks;
  return out;
}

py::dict skip(Ledger& ledger, std::int64_t task, const std::string& actor, const std::string& reason) {
  pg::Skipped result;
  {
    const py::gil_scoped_release released;
    result = pg::skip(ledger.session, task, actor, reason);
  }
  py::dict out;
  out["batch_no"] = result.batch_no;
  out["status"] = result.status;
  return out;
}

std::vector<std::int64_t> retry(Ledger& ledger, const py::dict& of, const std::string& actor,
                                const std::string& reason) {
  const auto subject = subject_of(of);
  const py::gil_scoped_release released;
  return pg::retry(ledger.session, subject, actor, reason);
}

py::dict reap(Ledger& ledger, std::int64_t limit, std::int64_t lease) {
  pg::Reaped reaped;
  std::int64_t folded = 0;
  {
    const py::gil_scoped_release released;
    reaped = pg::reap(ledger.session, limit, lease);
    folded = pg::fold_all(ledger.session);
  }
  py::dict out;
  out["lost"] = reaped.lost;
  out["cancelled"] = reaped.cancelled;
  out["failed"] = reaped.failed;
  out["folded"] = folded;
  return out;
}

py::list verify(Ledger& ledger, std::optional<std::int64_t> cursor, const std::optional<py::bytes>& anchor) {
  std::optional<core::Digest> head;
  if (anchor) {
    const std::string raw = *anchor;
    if (raw.size() != 32)
      throw core::Error{core::ErrorCode::ConfigError,
                        "an anchor is the 32 bytes of an event's hash (64 hexadecimal digits on the command line)"};
    head.emplace();
    std::copy(raw.begin(), raw.end(), head->begin());
  }
  std::vector<pg::Difference> found;
  {
    const py::gil_scoped_release released;
    found = pg::verify(ledger.session, cursor, head);
  }
  py::list out;
  for (const auto& each : found) {
    py::dict entry;
    entry["check"] = each.check;
    entry["subject"] = each.subject;
    entry["message"] = each.message;
    out.append(entry);
  }
  return out;
}

}  // namespace

pg::Target target_of(const py::dict& target) {
  pg::Target out;
  out.schema = target["schema"].cast<std::string>();
  out.table = target["table"].cast<std::string>();
  out.merge = target["mode"].cast<std::string>() == "merge";
  out.primary_key = target["primary_key"].cast<std::vector<std::string>>();
  if (target.contains("cursor_field")) out.cursor_field = target["cursor_field"].cast<std::optional<std::string>>();
  return out;
}

void register_ledger(py::module_& module) {
  LedgerClass ledger{module, "Ledger",
                     "One PostgreSQL connection to one strandline schema. Calls from several threads take turns."};
  ledger
      .def(py::init<const std::string&, const std::string&, const std::string&>(), py::arg("dsn"),
           py::arg("schema") = "strandline", py::arg("name") = "strandline", WithoutGil())
      .def(
          "close", [](Ledger& self) { self.session.close(); }, WithoutGil())
      .def_property_readonly("schema", [](const Ledger& self) { return self.session.schema(); })
      .def_property_readonly(
          "server_version",
          py::cpp_function([](Ledger& self) { return self.session.connection().server_version(); }, WithoutGil()))
      .def_property_readonly(
          "backend_pid",
          py::cpp_function([](Ledger& self) { return self.session.connection().backend_pid(); }, WithoutGil()))
      .def(
          "now",
          [](Ledger& self) {
            return self.session.transact(pg::page_limits, [](pg::Transaction& transaction) {
              return pg::integer(transaction.run("tx.clock")[0], "now");
            });
          },
          WithoutGil())
      .def(
          "migrate", [](Ledger& self) { return pg::migrate(self.session); }, WithoutGil())
      .def(
          "pending", [](Ledger& self) { return pg::pending(self.session); }, WithoutGil())
      .def(
          "check_schema", [](Ledger& self) { pg::check_schema(self.session); }, WithoutGil())
      .def(
          "migration_sql", [](Ledger& self, int version) { return pg::migration_sql(self.session, version); },
          py::arg("version"), WithoutGil())
      .def("fetch", question(&pg::fetch, &rows_as_dicts), py::arg("query"))
      .def("select", question(&pg::select, &rows_as_tuples), py::arg("sql"))
      .def(
          "resolve_code",
          [](Ledger& self, const std::string& dictionary, const std::string& code, const std::string& system) {
            return pg::resolve_code(self.session, dictionary, code, system);
          },
          py::arg("dictionary"), py::arg("code"), py::arg("system") = "*", WithoutGil())
      .def(
          "default_code",
          [](Ledger& self, const std::string& dictionary) { return pg::default_code(self.session, dictionary); },
          py::arg("dictionary"), WithoutGil())
      .def("plan", &plan, py::arg("request"))
      .def(
          "close_plan", [](Ledger& self, std::int64_t id) { return pg::close_plan(self.session, id); },
          py::arg("plan_id"), WithoutGil())
      .def(
          "fold", [](Ledger& self, std::int64_t cursor) { return pg::fold(self.session, cursor); },
          py::arg("cursor_id"), WithoutGil())
      .def(
          "fold_all", [](Ledger& self) { return pg::fold_all(self.session); }, WithoutGil())
      .def("describe_target", &describe, py::arg("schema"), py::arg("table"), WithoutGil())
      .def(
          "batches_of",
          [](Ledger& self, const std::string& schema, const std::string& table, const std::vector<std::string>& columns,
             const std::vector<std::string>& values) {
            return self.session.transact(pg::page_limits, [&](pg::Transaction& transaction) {
              return pg::batches_of(transaction, schema, table, columns, values);
            });
          },
          py::arg("schema"), py::arg("table"), py::arg("columns"), py::arg("values"), WithoutGil())
      .def(
          "ensure_target",
          [](Ledger& self, const py::dict& target, const std::vector<DeclaredColumn>& columns) {
            return shape(self, target, columns, false);
          },
          py::arg("target"), py::arg("columns"))
      .def(
          "target_ddl",
          [](Ledger& self, const py::dict& target, const std::vector<DeclaredColumn>& columns) {
            return shape(self, target, columns, true);
          },
          py::arg("target"), py::arg("columns"))
      .def("cancel", method(&pg::cancel), py::arg("of"), py::arg("actor"), py::arg("reason") = "")
      .def("pause", method(&pg::pause), py::arg("of"), py::arg("actor"), py::arg("reason") = "")
      .def("resume", method(&pg::resume), py::arg("of"), py::arg("actor"), py::arg("reason") = "")
      .def("trigger", method(&pg::trigger), py::arg("of"), py::arg("actor"), py::arg("reason") = "")
      .def("set_priority", method(&pg::set_priority), py::arg("of"), py::arg("priority"), py::arg("actor"),
           py::arg("reason") = "")
      .def("split", &split, py::arg("task"), py::arg("strategy"), py::arg("actor"), py::arg("reason") = "")
      .def("skip", &skip, py::arg("task"), py::arg("actor"), py::arg("reason") = "")
      .def(
          "set_worker",
          [](Ledger& self, const std::string& name, const std::string& status, const std::string& actor,
             const std::string& reason) { return pg::set_worker(self.session, name, status, actor, reason); },
          py::arg("name"), py::arg("status"), py::arg("actor"), py::arg("reason") = "", WithoutGil())
      .def(
          "set_pool",
          [](Ledger& self, const std::string& pool, std::optional<std::int64_t> limit, const std::string& actor,
             const std::string& reason) { return pg::set_pool(self.session, pool, limit, actor, reason); },
          py::arg("pool"), py::arg("limit"), py::arg("actor"), py::arg("reason") = "", WithoutGil())
      .def(
          "rate_declare",
          [](Ledger& self, const std::string& key, double per_second, double burst) {
            pg::declare_rate(self.session, key, per_second, burst);
          },
          py::arg("key"), py::arg("per_second"), py::arg("burst"), WithoutGil())
      .def(
          "rate_take",
          [](Ledger& self, const std::string& key, std::int64_t calls, double longest) {
            return pg::take_rate(self.session, key, calls, longest);
          },
          py::arg("key"), py::arg("calls"), py::arg("longest"), WithoutGil())
      .def(
          "rate_push",
          [](Ledger& self, const std::string& key, double seconds) { pg::push_rate(self.session, key, seconds); },
          py::arg("key"), py::arg("seconds"), WithoutGil())
      .def(
          "rate_wait", [](Ledger& self, const std::string& key) { return pg::rate_wait(self.session, key); },
          py::arg("key"), WithoutGil())
      .def("retry", &retry, py::arg("of"), py::arg("actor"), py::arg("reason") = "")
      .def("reap", &reap, py::arg("limit") = 100, py::arg("lease") = 60'000'000)
      .def("verify", &verify, py::arg("cursor_id") = py::none(), py::arg("anchor") = py::none())
      .def(
          "register_worker",
          [](Ledger& self, const std::string& worker, const std::string& host, int pid, const std::string& version,
             const std::vector<std::string>& pools) {
            self.session.transact(pg::page_limits, [&](pg::Transaction& transaction) {
              transaction.run("worker.register", pg::Params{worker, host, pid, version, pools});
            });
          },
          py::arg("worker"), py::arg("host"), py::arg("pid"), py::arg("version"), py::arg("pools"), WithoutGil())
      .def(
          "heartbeat",
          [](Ledger& self, const std::string& worker) {
            return self.session.transact(pg::page_limits, [&](pg::Transaction& transaction) {
              const auto found = transaction.run("worker.beat", pg::Params{worker});
              return found.empty() ? std::string{"ACTIVE"} : pg::text(found[0], "wish");
            });
          },
          py::arg("worker"), WithoutGil())
      .def(
          "stop_worker",
          [](Ledger& self, const std::string& worker) {
            self.session.transact(pg::page_limits, [&](pg::Transaction& transaction) {
              transaction.run("worker.stop", pg::Params{worker});
            });
          },
          py::arg("worker"), WithoutGil());
  bind_runs(module, ledger);
  module.def("versions", &pg::versions, "What this build is made of: libpq, libpqxx, openssl, compiler.");
  module.def(
      "away", [](const std::string& dsn) { return pg::away(dsn); }, py::arg("dsn"), WithoutGil(),
      "Whether no server answers there, or one that is starting or stopping.");
  module.def(
      "failpoint", [](const std::string& name) { pg::failpoint(name); }, py::arg("name"),
      "Ends the process here if STRANDLINE_FAILPOINT says so.");
}

}  // namespace strandline::bindings
