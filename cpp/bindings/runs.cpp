#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/ledger.hpp"
#include "bindings/python_result.hpp"
#include "bindings/register.hpp"
#include "encode/page.hpp"
#include "pg/renewer.hpp"
#include "pg/run.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

std::vector<pg::Run> claim(Ledger& ledger, const std::string& worker, std::int64_t limit, std::int64_t lease,
                           const std::optional<std::string>& pool,
                           const std::optional<std::vector<std::int64_t>>& plans) {
  if (pool.has_value() == (plans.has_value() && !plans->empty()))
    throw core::Error{core::ErrorCode::Error, "claim takes either pool or plans"};
  return ledger.claimer.claim(ledger.session, worker, limit, lease,
                              {pool.value_or(""), plans.value_or(std::vector<std::int64_t>{})});
}

const encode::EncodedPage* part(const py::dict& page, const char* name) {
  if (!page.contains(name) || page[name].is_none()) return nullptr;
  return page[name].cast<const encode::EncodedPage*>();
}

std::vector<pg::Page> pages_of(const py::sequence& pages) {
  std::vector<pg::Page> sent;
  for (const auto& each : pages) {
    const auto page = each.cast<py::dict>();
    sent.push_back({part(page, "rows"), part(page, "deleted"), page["before"].cast<std::optional<std::string>>(),
                    page["after"].cast<std::optional<std::string>>(), page["size"].cast<std::int64_t>(),
                    page["started"].cast<std::int64_t>(),
                    page.contains("upto") ? page["upto"].cast<std::optional<std::int64_t>>() : std::nullopt});
  }
  return sent;
}

py::dict commit(Ledger& ledger, pg::Run& run, const py::dict& target, const py::sequence& pages, bool done,
                std::int64_t lease) {
  const pg::Target into = target_of(target);
  const std::vector<pg::Page> sent = pages_of(pages);
  pg::Committed committed;
  {
    const py::gil_scoped_release released;
    committed = pg::commit(ledger.session, run, into, sent, done, lease);
  }
  const pg::Counts& counts = committed.counts;
  py::dict out;
  out["records"] = counts.records;
  out["inserted"] = counts.inserted;
  out["updated"] = counts.updated;
  out["unchanged"] = counts.unchanged;
  out["deleted"] = counts.deleted;
  if (committed.wish) out["wish"] = *committed.wish;
  return out;
}

// The runs are the caller's own objects: what a run has committed is seen in them afterwards.
std::vector<std::string> finish(Ledger& ledger, const py::sequence& runs, const py::dict& target,
                                const py::sequence& pages, std::int64_t lease) {
  const pg::Target into = target_of(target);
  const std::vector<pg::Page> sent = pages_of(pages);
  std::vector<pg::Run> own;
  own.reserve(runs.size());
  for (const auto& each : runs) own.push_back(each.cast<const pg::Run&>());
  std::vector<std::string> out;
  {
    const py::gil_scoped_release released;
    out = pg::finish(ledger.session, own, into, sent, lease);
  }
  for (std::size_t i = 0; i < own.size(); ++i) runs[i].cast<pg::Run&>() = own[i];
  return out;
}

pg::Cause cause_of(const std::optional<py::dict>& cause) { return cause ? pg::Cause{json_text(*cause)} : std::nullopt; }

std::string give_back(Ledger& ledger, const pg::Run& run, const std::string& reason, std::int64_t pause,
                      const std::optional<py::dict>& cause) {
  const auto told = cause_of(cause);
  const py::gil_scoped_release released;
  return pg::give_back(ledger.session, run, reason, pause, told);
}

std::string fail(Ledger& ledger, const pg::Run& run, const py::dict& error, const std::string& reason, bool retryable,
                 const std::vector<std::int64_t>& backoff, const std::string& by) {
  const pg::Failure failure{json_text(error), reason, retryable, backoff, by};
  const py::gil_scoped_release released;
  return pg::fail(ledger.session, run, failure);
}

void restart_walk(Ledger& ledger, const pg::Run& run, const py::dict& target, const std::string& reason,
                  const std::optional<py::dict>& cause) {
  const pg::Target into = target_of(target);
  const auto told = cause_of(cause);
  const py::gil_scoped_release released;
  pg::restart_walk(ledger.session, run, into, reason, told);
}

const char* state_text(pg::Renewer::State state) {
  switch (state) {
    case pg::Renewer::State::Held:
      return "held";
    case pg::Renewer::State::Paused:
      return "paused";
    case pg::Renewer::State::Quarantined:
      return "quarantined";
    case pg::Renewer::State::Draining:
      return "draining";
    case pg::Renewer::State::Cancelled:
      return "cancelled";
    case pg::Renewer::State::Lost:
      break;
  }
  return "lost";
}

std::string shown(const pg::Run& run) {
  return "<Run task=" + std::to_string(run.task_id) + " attempt=" + std::to_string(run.attempt_no) +
         " batch=" + std::to_string(run.batch_no) + ">";
}

}  // namespace

void register_runs(py::module_& module) {
  py::class_<pg::Run>(module, "Run", "A claimed run: the lease in hand. commit() advances batch_no and checkpoint.")
      .def_readonly("task_id", &pg::Run::task_id)
      .def_readonly("attempt_no", &pg::Run::attempt_no)
      .def_readonly("run_id", &pg::Run::run_id)
      .def_readonly("plan_id", &pg::Run::plan_id)
      .def_readonly("slice_id", &pg::Run::slice_id)
      .def_readonly("cursor_id", &pg::Run::cursor_id)
      .def_readonly("generation", &pg::Run::generation)
      .def_readonly("kind_code", &pg::Run::kind_code)
      .def_readonly("lo", &pg::Run::lo)
      .def_readonly("hi", &pg::Run::hi)
      .def_readonly("walk_no", &pg::Run::walk_no)
      .def_readonly("batch_no", &pg::Run::batch_no)
      .def_readonly("checkpoint", &pg::Run::checkpoint)
      .def_readonly("reached", &pg::Run::reached)
      .def_readonly("params", &pg::Run::params)
      .def_readonly("expr", &pg::Run::expr)
      .def_readonly("slice_spec", &pg::Run::slice_spec)
      .def_readonly("failures", &pg::Run::failures)
      .def_readonly("losses", &pg::Run::losses)
      .def_readonly("deadline", &pg::Run::deadline)
      .def_readonly("worker", &pg::Run::worker)
      .def("__repr__", &shown);
  py::class_<pg::Renewer>(
      module, "Renewer",
      "A native thread with its own connection that renews the leases of this process's runs every third of a lease.")
      .def(py::init<std::string, std::string, std::int64_t>(), py::arg("dsn"), py::arg("schema"), py::arg("lease"))
      .def(
          "add", [](pg::Renewer& self, const pg::Run& run) { self.add(run.task_id, run.attempt_no); }, py::arg("run"),
          WithoutGil())
      .def(
          "remove", [](pg::Renewer& self, const pg::Run& run) { self.remove(run.task_id, run.attempt_no); },
          py::arg("run"), WithoutGil())
      .def(
          "state",
          [](pg::Renewer& self, const pg::Run& run) { return state_text(self.state(run.task_id, run.attempt_no)); },
          py::arg("run"), WithoutGil())
      .def("close", &pg::Renewer::close, WithoutGil());
}

void bind_runs(py::module_& /*module*/, LedgerClass& ledger) {
  ledger
      .def("claim", &claim, py::arg("worker"), py::arg("limit"), py::arg("lease"), py::kw_only(),
           py::arg("pool") = py::none(), py::arg("plans") = py::none(), WithoutGil())
      .def("commit", &commit, py::arg("run"), py::arg("target"), py::arg("pages"), py::kw_only(), py::arg("done"),
           py::arg("lease"))
      .def("finish", &finish, py::arg("runs"), py::arg("target"), py::arg("pages"), py::kw_only(), py::arg("lease"))
      .def("give_back", &give_back, py::arg("run"), py::arg("reason"), py::arg("pause") = 0, py::kw_only(),
           py::arg("cause") = py::none())
      .def("fail", &fail, py::arg("run"), py::arg("error"), py::kw_only(), py::arg("reason") = "FAILED",
           py::arg("retryable"), py::arg("backoff"), py::arg("by") = "")
      .def(
          "end_cancelled", [](Ledger& self, const pg::Run& run) { pg::end_cancelled(self.session, run); },
          py::arg("run"), WithoutGil())
      .def("restart_walk", &restart_walk, py::arg("run"), py::arg("target"), py::arg("reason"), py::kw_only(),
           py::arg("cause") = py::none())
      .def(
          "walk_records", [](Ledger& self, const pg::Run& run) { return pg::walk_records(self.session, run); },
          py::arg("run"), WithoutGil());
}

}  // namespace strandline::bindings
