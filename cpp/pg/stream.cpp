#include "pg/stream.hpp"

#include "pg/row.hpp"

namespace strandline::pg {
namespace {

std::string shown(std::int64_t bound, const PlanRequest& request) { return core::bound_text(bound, request.type); }

}  // namespace

Enrolled enroll(Transaction& transaction, const PlanRequest& request, const core::Window& window) {
  Enrolled out;
  const core::Digest config_hash = core::sha256(request.config);
  transaction.run("stream.provenance",
                  Params{request.provenance, request.reference, request.provider_version, request.source_digest,
                         request.config, config_hash, request.labels, request.actor});
  if (!boolean(transaction.run("stream.provenance_state", Params{request.provenance})[0], "enabled")) {
    throw core::Error{
        core::ErrorCode::ConfigError,
        "the source " + request.provenance + " is disabled; enable it in ing_provenance before it is planned"};
  }
  const auto connection =
      integer(transaction.run("stream.connection", Params{request.provenance, request.actor})[0], "id");
  std::int64_t head = 0;
  if (!request.value) {
    const Params space{request.space.provenance_code, request.space.operation_code, request.space.cursor_key,
                       request.space.namespace_scope_code, request.space.namespace_key};
    auto found = transaction.run("stream.cursor_find", space);
    if (found.empty()) {
      const bool token = request.type == core::CursorType::Token;
      const auto origin = token ? std::optional<std::int64_t>{0} : request.origin ? request.origin : window.lo;
      if (!origin) {
        throw core::Error{core::ErrorCode::ConfigError, request.provenance +
                                                            " has nothing to begin from: give a window with a start "
                                                            "(window=\"2013/\"), or set origin on the provider"};
      }
      const auto value = request.type == core::CursorType::Time ? std::optional{'"' + shown(*origin, request) + '"'}
                         : request.type == core::CursorType::Id ? std::optional{std::to_string(*origin)}
                                                                : std::nullopt;
      transaction.run("stream.cursor",
                      Params{request.space.provenance_code, request.space.operation_code, request.space.cursor_key,
                             request.space.namespace_scope_code, request.space.namespace_key, request.type_code,
                             request.zone, *origin, value});
      found = transaction.run("stream.cursor_find", space);
    }
    const auto& cursor = found[0];
    if (text(cursor, "cursor_type_code") != request.type_code) {
      throw core::Error{core::ErrorCode::Conflict, request.provenance + ">" + request.space.cursor_key + " counts by " +
                                                       text(cursor, "cursor_type_code") +
                                                       ", and the provider now says " + request.type_code +
                                                       "; load into another table, or keep cursor_type"};
    }
    out.cursor_id = integer(cursor, "id");
    head = integer(cursor, "head_sequence_no");
  }
  const auto known =
      transaction.run("stream.find", Params{connection, request.stream, request.target.schema, request.target.table});
  if (!known.empty() && head > 0 &&
      (texts(known[0], "primary_key") != request.target.primary_key ||
       (text(known[0], "write_mode") == "merge") != request.target.merge)) {
    throw core::Error{core::ErrorCode::Conflict,
                      request.target.name() + " was loaded with mode " + text(known[0], "write_mode") +
                          " and another primary key than asked for now; keep mode and primary_key, or load into "
                          "another table and read it with only=\"all\""};
  }
  out.stream_id = integer(
      transaction.run("stream.upsert", Params{connection, request.stream, request.target.schema, request.target.table,
                                              request.target.merge ? "merge" : "append", request.target.primary_key,
                                              request.target.cursor_field, request.columns, request.contract,
                                              request.labels, request.actor})[0],
      "id");
  return out;
}

}  // namespace strandline::pg
