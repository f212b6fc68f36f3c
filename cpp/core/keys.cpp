#include "core/keys.hpp"

#include "core/error.hpp"
#include "core/json_string.hpp"
#include "core/number.hpp"
#include "core/text_buffer.hpp"

namespace strandline::core {
namespace {

constexpr std::size_t kHexSize = 64;

// The canonical text of one recipe, in the thread's buffer. Each call names a member with its punctuation, so that a recipe
// reads as the text it makes.
class Recipe {
 public:
  explicit Recipe(std::string_view begin) : text_{buffer()} {
    text_.clear();
    text_.append(begin);
  }

  Recipe& raw(std::string_view text) {
    text_.append(text);
    return *this;
  }
  Recipe& number(std::string_view member, std::int64_t value) {
    text_.append(member);
    char* const out = text_.reserve(kIntegerSize);
    text_.advance_to(write_integer(out, value));
    return *this;
  }
  Recipe& number_or_null(std::string_view member, const std::optional<std::int64_t>& value) {
    return value ? number(member, *value) : raw(member).raw("null");
  }
  Recipe& string(std::string_view member, std::string_view value) {
    text_.append(member);
    if (append_json_string(text_, value) == StringForm::Invalid) {
      throw Error{ErrorCode::DataError,
                  "a key recipe got text that is not valid UTF-8, in its part " + std::string{member}};
    }
    return *this;
  }
  Recipe& string_or_null(std::string_view member, const std::optional<std::string_view>& value) {
    return value ? string(member, *value) : raw(member).raw("null");
  }
  Recipe& hex(std::string_view member, const Digest& digest) {
    text_.append(member);
    char* out = text_.reserve(kHexSize + 2);
    *out++ = '"';
    out = write_hex(out, digest);
    *out++ = '"';
    text_.advance_to(out);
    return *this;
  }
  Recipe& hex_or_null(std::string_view member, const std::optional<Digest>& digest) {
    return digest ? hex(member, *digest) : raw(member).raw("null");
  }
  Recipe& space(std::string_view member, const Namespace& space) {
    // Both arms are views: with a literal beside the std::string this would be a view of a temporary.
    const std::string_view asked = space.operation_code;
    const std::string_view operation = asked == "BACKFILL" ? std::string_view{"HARVEST"} : asked;
    return raw(member)
        .string("{\"cursor_key\":", space.cursor_key)
        .hex(",\"namespace_key\":", space.namespace_key)
        .string(",\"namespace_scope_code\":", space.namespace_scope_code)
        .string(",\"operation_code\":", operation)
        .string(",\"provenance_code\":", space.provenance_code)
        .raw("}");
  }

  [[nodiscard]] Digest digest(std::string_view end) {
    text_.append(end);
    return sha256(text_.view());
  }

 private:
  static TextBuffer& buffer() {
    thread_local TextBuffer text;
    return text;
  }

  TextBuffer& text_;
};

}  // namespace

Digest namespace_key(std::string_view params_json, std::string_view expr_json) {
  if (params_json == "{}" && expr_json == "null") return Digest{};
  return Recipe{"{\"expr\":"}
      .raw(expr_json)
      .raw(",\"kind\":\"namespace\",\"params\":")
      .raw(params_json)
      .digest(",\"v\":1}");
}

Digest slice_signature(const Namespace& space, std::string_view strategy_code, std::string_view spec_json,
                       std::int64_t generation) {
  return Recipe{"{"}
      .number("\"generation\":", generation)
      .space(",\"kind\":\"slice\",\"namespace\":", space)
      .raw(",\"spec\":")
      .raw(spec_json)
      .string(",\"strategy_code\":", strategy_code)
      .digest(",\"v\":1}");
}

Digest task_key(std::string_view kind_code, const Digest& slice_signature, const std::optional<Digest>& expr_hash,
                std::string_view params_json) {
  return Recipe{"{"}
      .hex_or_null("\"expr_hash\":", expr_hash)
      .raw(",\"kind\":\"task\"")
      .string(",\"kind_code\":", kind_code)
      .raw(",\"params\":")
      .raw(params_json)
      .hex(",\"slice_signature\":", slice_signature)
      .digest(",\"v\":1}");
}

Digest plan_key(std::string_view scheduler_code, std::string_view scheduler_job_id, std::string_view scheduler_log_id,
                std::string_view stream, std::int64_t part) {
  return Recipe{"{\"kind\":\"plan\""}
      .number(",\"part\":", part)
      .string(",\"scheduler_code\":", scheduler_code)
      .string(",\"scheduler_job_id\":", scheduler_job_id)
      .string(",\"scheduler_log_id\":", scheduler_log_id)
      .string(",\"stream\":", stream)
      .digest(",\"v\":1}");
}

Digest batch_key(const Digest& task_key, std::int64_t walk_no, std::int64_t batch_no) {
  return Recipe{"{"}
      .number("\"batch_no\":", batch_no)
      .hex(",\"kind\":\"batch\",\"task_key\":", task_key)
      .number(",\"v\":1,\"walk_no\":", walk_no)
      .digest("}");
}

Digest request_hash(std::string_view request_json) {
  return Recipe{"{\"kind\":\"request\",\"request\":"}.raw(request_json).digest(",\"v\":1}");
}

Digest event_hash(const Namespace& space, const Event& event) {
  Recipe recipe{"{"};
  recipe.string("\"actor\":", event.actor)
      .number(",\"count\":", event.count)
      .hex(",\"coverage_digest\":", event.coverage_digest)
      .string(",\"direction_code\":", event.direction_code)
      .number(",\"generation\":", event.generation)
      .raw(",\"intervals\":[");
  for (std::size_t i = 0; i < event.intervals.size(); ++i) {
    recipe.number(i == 0 ? "[" : ",[", event.intervals[i].first).number(",", event.intervals[i].second).raw("]");
  }
  return recipe.space("],\"kind\":\"event\",\"namespace\":", space)
      .number_or_null(",\"new_value\":", event.new_value)
      .hex_or_null(",\"prev_hash\":", event.prev_hash)
      .number_or_null(",\"prev_value\":", event.prev_value)
      .string_or_null(",\"reason\":", event.reason)
      .number(",\"sequence_no\":", event.sequence_no)
      .digest(",\"v\":1}");
}

}  // namespace strandline::core
