#include "pg/plan_rows.hpp"

#include "core/keys.hpp"
#include "encode/copy_writer.hpp"
#include "encode/field.hpp"
#include "pg/row.hpp"

namespace strandline::pg {
namespace {

using core::TextBuffer;

constexpr std::string_view signature_and_flags{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};

void put(TextBuffer& out, std::int64_t value) { encode::put_word64(out, value); }
void put(TextBuffer& out, const std::optional<std::int64_t>& value) {
  if (value) {
    encode::put_word64(out, *value);
  } else {
    encode::put_null(out);
  }
}
void put(TextBuffer& out, std::string_view value) { encode::put_bytes(out, value); }
void put(TextBuffer& out, const std::optional<std::string>& value) {
  if (value) {
    encode::put_bytes(out, *value);
  } else {
    encode::put_null(out);
  }
}
void put(TextBuffer& out, const core::Digest& value) {
  encode::put_bytes(out, {reinterpret_cast<const char*>(value.data()), value.size()});
}
void put(TextBuffer& out, const std::optional<core::Digest>& value) {
  if (value) {
    put(out, *value);
  } else {
    encode::put_null(out);
  }
}

void begin_row(TextBuffer& out, std::uint16_t fields) { out.advance_to(encode::store16(out.reserve(2), fields)); }

// Sends `count` rows that `row(buffer, i)` appends.
template <class Row>
void copy_rows(Transaction& transaction, std::string_view name, std::size_t count, Row row) {
  transaction.copy(name, {}, [&](const Transaction::Sink& sink) {
    TextBuffer out;
    const auto flush = [&] {
      sink(out.view().data(), out.size());
      out.truncate(0);
    };
    out.append(signature_and_flags);
    for (std::size_t i = 0; i < count; ++i) {
      row(out, i);
      if (out.size() >= encode::CopyWriter::piece_bytes) flush();
    }
    out.advance_to(encode::store16(out.reserve(2), 0xFFFF));
    flush();
  });
}

// The plan's expression AND the slice's range.
std::string localized(const PlanRequest& request, const NewSlice& slice) {
  return R"({"and":[)" + request.expr + R"(,{"range":)" + slice.spec + "}]}";
}

bool narrowed(const PlanRequest& request) { return request.expr != "null"; }

}  // namespace

NewSlice identified(const PlanRequest& request, core::Interval bounds, std::string spec, std::int64_t generation) {
  NewSlice out;
  out.bounds = bounds;
  out.spec = std::move(spec);
  out.signature = core::slice_signature(
      request.space, request.value ? "SINGLE" : core::strategy_code(request.strategy.kind), out.spec, generation);
  std::optional<core::Digest> expr_hash;
  if (narrowed(request)) expr_hash = core::sha256(localized(request, out));
  out.key = core::task_key(request.value ? "VALUE" : "SLICE", out.signature, expr_hash, request.params);
  return out;
}

std::vector<std::int64_t> write_rows(Transaction& transaction, const PlanRequest& request, const RowsContext& context,
                                     const std::vector<NewSlice>& slices) {
  if (slices.empty()) return {};
  const auto ids = transaction.run("plan.next_ids", Params{slices.size()});
  const auto slice_ids = integers(ids[0], "slices");
  auto task_ids = integers(ids[0], "tasks");
  if (!boolean(transaction.run("plan.partitions", Params{task_ids.back()})[0], "there"))
    transaction.run("plan.partitions_ahead", Params{task_ids.back()});

  copy_rows(transaction, "plan.slices_copy", slices.size(), [&](TextBuffer& out, std::size_t i) {
    const NewSlice& slice = slices[i];
    begin_row(out, 10);
    put(out, slice_ids[i]);
    put(out, context.plan_id);
    put(out, context.first_slice_no + static_cast<std::int64_t>(i));
    put(out, slice.signature);
    put(out, slice.key);
    put(out, std::string_view{slice.spec});
    put(out, request.value ? std::nullopt : std::optional{slice.bounds.lo});
    put(out, request.value ? std::nullopt : std::optional{slice.bounds.hi});
    if (narrowed(request)) {
      const std::string expr = localized(request, slice);
      put(out, core::sha256(expr));
      put(out, std::string_view{expr});
    } else {
      encode::put_null(out);
      encode::put_null(out);
    }
  });

  // The one clock, read now: a row that becomes claimable must not lie before what claimers have seen empty.
  const std::int64_t due = integer(transaction.run("tx.clock")[0], "now") + request.delay;
  const std::optional<std::string> params = request.params == "{}" ? std::nullopt : std::optional{request.params};
  std::optional<std::string> reason;
  if (context.fallen) {
    reason = "UPSTREAM_FAILED";
  } else if (context.held) {
    reason = "PAUSED";
  } else if (context.unmet > 0) {
    reason = "DEPENDENCY";
  }
  copy_rows(transaction, "plan.tasks_copy", slices.size(), [&](TextBuffer& out, std::size_t i) {
    const NewSlice& slice = slices[i];
    begin_row(out, 27);
    put(out, task_ids[i]);
    put(out, slice.key);
    put(out, request.value ? std::string_view{"VALUE"} : std::string_view{"SLICE"});
    put(out, context.plan_id);
    put(out, slice_ids[i]);
    put(out, context.cursor_id);
    put(out, context.generation);
    put(out, request.value ? std::nullopt : std::optional{slice.bounds.lo});
    put(out, request.value ? std::nullopt : std::optional{slice.bounds.hi});
    put(out, std::string_view{request.provenance});
    put(out, std::string_view{request.operation});
    put(out, request.credential);
    put(out, params);
    put(out, narrowed(request) ? std::optional{core::sha256(localized(request, slice))} : std::nullopt);
    encode::put_word16(out, static_cast<std::int16_t>(request.priority));
    put(out, std::string_view{context.pool});
    put(out, request.mutex_key);
    encode::put_json(out, encode::Type::Jsonb, request.labels);
    encode::put_bool(out, request.mutex_key.has_value());
    encode::put_word32(out, static_cast<std::int32_t>(context.unmet));
    encode::put_bool(out, context.held);
    put(out, reason);
    encode::put_word32(out, static_cast<std::int32_t>(request.max_attempts));
    encode::put_word32(out, static_cast<std::int32_t>(request.max_losses));
    encode::put_timestamp(out, due);
    if (request.deadline) {
      encode::put_timestamp(out, *request.deadline);
    } else {
      encode::put_null(out);
    }
    put(out, std::string_view{context.fallen ? "FAILED" : "QUEUED"});
  });
  return task_ids;
}

}  // namespace strandline::pg
