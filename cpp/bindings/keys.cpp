// The key recipes, as functions with keyword arguments. Digests are 32 bytes; arguments called `..._json` are canonical
// texts already (canonical(), canonical_json()).

#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/canonical_walk.hpp"
#include "bindings/register.hpp"
#include "core/chain.hpp"
#include "core/error.hpp"
#include "core/keys.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using core::Digest;
using core::Namespace;
using Row = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;

py::bytes to_bytes(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

Digest to_digest(const py::bytes& bytes, const char* name) {
  const std::string_view view{bytes};
  Digest digest{};
  if (view.size() != digest.size()) {
    throw core::Error{core::ErrorCode::DataError, std::string{name} + " is a SHA-256 digest of 32 bytes, not of " +
                                                      std::to_string(view.size()) + " bytes"};
  }
  std::copy(view.begin(), view.end(), reinterpret_cast<char*>(digest.data()));
  return digest;
}

std::optional<Digest> to_digest(const std::optional<py::bytes>& bytes, const char* name) {
  return bytes ? std::optional{to_digest(*bytes, name)} : std::nullopt;
}

void register_namespace(py::module_& module) {
  py::class_<Namespace>(module, "Namespace",
                        "What a watermark belongs to: a source, an operation, a target (cursor_key) and a filter "
                        "(namespace_key, 32 bytes, zeros where there is none).")
      .def(py::init([](std::string provenance, std::string operation, std::string cursor, std::string scope,
                       const std::optional<py::bytes>& key) {
             return Namespace{std::move(provenance), std::move(operation), std::move(cursor), std::move(scope),
                              to_digest(key, "namespace_key").value_or(Digest{})};
           }),
           py::kw_only(), py::arg("provenance_code"), py::arg("operation_code"), py::arg("cursor_key"),
           py::arg("namespace_scope_code") = "GLOBAL", py::arg("namespace_key") = py::none())
      .def_readonly("provenance_code", &Namespace::provenance_code)
      .def_readonly("operation_code", &Namespace::operation_code)
      .def_readonly("cursor_key", &Namespace::cursor_key)
      .def_readonly("namespace_scope_code", &Namespace::namespace_scope_code)
      .def_property_readonly("namespace_key", [](const Namespace& space) { return to_bytes(space.namespace_key); });
}

void register_work_keys(py::module_& module) {
  module.def(
      "namespace_key",
      [](const py::object& params, const py::object& expr) {
        return to_bytes(
            core::namespace_key(python_text(params.ptr(), "params_json"), python_text(expr.ptr(), "expr_json")));
      },
      py::kw_only(), py::arg("params_json"), py::arg("expr_json"),
      "The namespace_key of parameters and an expression that narrow what is read; zeros for b'{}' and b'null'.");
  module.def(
      "slice_signature",
      [](const Namespace& space, const std::string& strategy, const py::object& spec, std::int64_t generation) {
        return to_bytes(core::slice_signature(space, strategy, python_text(spec.ptr(), "spec_json"), generation));
      },
      py::kw_only(), py::arg("namespace"), py::arg("strategy_code"), py::arg("spec_json"), py::arg("generation"),
      "The identity of one half-open part of a plan.");
  module.def(
      "task_key",
      [](const std::string& kind, const py::bytes& signature, const std::optional<py::bytes>& expr_hash,
         const py::object& params) {
        return to_bytes(core::task_key(kind, to_digest(signature, "slice_signature"), to_digest(expr_hash, "expr_hash"),
                                       python_text(params.ptr(), "params_json")));
      },
      py::kw_only(), py::arg("kind_code"), py::arg("slice_signature"), py::arg("expr_hash"), py::arg("params_json"),
      "The identity of the work for one slice; params_json is in the params profile.");
  module.def(
      "plan_key",
      [](const std::string& scheduler, const std::string& job, const std::string& log, const std::string& stream,
         std::int64_t part) { return to_bytes(core::plan_key(scheduler, job, log, stream, part)); },
      py::kw_only(), py::arg("scheduler_code"), py::arg("scheduler_job_id"), py::arg("scheduler_log_id"),
      py::arg("stream"), py::arg("part") = 0, "The identity of one trigger of one stream.");
  module.def(
      "batch_key",
      [](const py::bytes& task, std::int64_t walk_no, std::int64_t batch_no) {
        return to_bytes(core::batch_key(to_digest(task, "task_key"), walk_no, batch_no));
      },
      py::kw_only(), py::arg("task_key"), py::arg("walk_no"), py::arg("batch_no"),
      "The identity of one committed page.");
  module.def(
      "request_hash",
      [](const py::object& request) {
        return to_bytes(core::request_hash(python_text(request.ptr(), "request_json")));
      },
      py::kw_only(), py::arg("request_json"),
      "What a trigger asked for; the same trigger with another hash is a conflict.");
}

void register_ledger_hashes(py::module_& module) {
  module.def(
      "event_hash",
      [](const Namespace& space, const std::string& actor, const std::optional<std::string>& reason,
         const std::optional<py::bytes>& prev_hash, std::int64_t sequence_no, std::int64_t generation,
         std::optional<std::int64_t> prev_value, std::optional<std::int64_t> new_value, const std::string& direction,
         std::vector<std::pair<std::int64_t, std::int64_t>> intervals, std::int64_t count, const py::bytes& coverage) {
        core::Event event;
        event.actor = actor;
        if (reason) event.reason = *reason;
        event.prev_hash = to_digest(prev_hash, "prev_hash");
        event.sequence_no = sequence_no;
        event.generation = generation;
        event.prev_value = prev_value;
        event.new_value = new_value;
        event.direction_code = direction;
        event.intervals = std::move(intervals);
        event.count = count;
        event.coverage_digest = to_digest(coverage, "coverage_digest");
        return to_bytes(core::event_hash(space, event));
      },
      py::kw_only(), py::arg("namespace"), py::arg("actor"), py::arg("reason"), py::arg("prev_hash"),
      py::arg("sequence_no"), py::arg("generation"), py::arg("prev_value"), py::arg("new_value"),
      py::arg("direction_code"), py::arg("intervals"), py::arg("count"), py::arg("coverage_digest"),
      "The hash of one move of a watermark, chained to the hash of the move before it.");
  module.def(
      "coverage_digest",
      [](const std::vector<Row>& rows) {
        core::CoverageDigest digest;
        for (const auto& [task_id, batch_no, generation, lo, hi, record_count] : rows) {
          digest.append({task_id, batch_no, generation, lo, hi, record_count});
        }
        return to_bytes(digest.finish());
      },
      py::arg("rows"),
      "The digest over coverage rows (task_id, batch_no, generation, lo, hi, record_count), in key order.");
}

}  // namespace

void register_keys(py::module_& module) {
  register_namespace(module);
  register_work_keys(module);
  register_ledger_hashes(module);
}

}  // namespace strandline::bindings
