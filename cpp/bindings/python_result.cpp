#include "bindings/python_result.hpp"

#include <cstdlib>

#include "core/error.hpp"
#include "pg/row.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

// The types that results of ours and of most questions have; anything else comes as PostgreSQL's text.
enum Oid : unsigned {
  kBool = 16,
  kBytea = 17,
  kName = 19,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kText = 25,
  kOid = 26,
  kJson = 114,
  kFloat4 = 700,
  kFloat8 = 701,
  kInt4Array = 1007,
  kTextArray = 1009,
  kInt8Array = 1016,
  kBpchar = 1042,
  kVarchar = 1043,
  kDate = 1082,
  kTime = 1083,
  kTimestamp = 1114,
  kTimestampTz = 1184,
  kNumeric = 1700,
  kUuid = 2950,
  kJsonb = 3802,
};

const char* type_name(unsigned oid) {
  switch (oid) {
    case kBool:
      return "boolean";
    case kBytea:
      return "bytea";
    case kInt8:
      return "bigint";
    case kInt2:
      return "smallint";
    case kInt4:
      return "integer";
    case kOid:
      return "oid";
    case kJson:
      return "json";
    case kJsonb:
      return "jsonb";
    case kFloat4:
      return "real";
    case kFloat8:
      return "double precision";
    case kDate:
      return "date";
    case kTime:
      return "time without time zone";
    case kTimestamp:
      return "timestamp without time zone";
    case kTimestampTz:
      return "timestamp with time zone";
    case kNumeric:
      return "numeric";
    case kUuid:
      return "uuid";
    case kInt4Array:
    case kInt8Array:
      return "bigint[]";
    case kTextArray:
      return "text[]";
    default:
      return "text";
  }
}

// Converters of the standard library, imported when the first result is read.
struct Converters {
  py::object datetime, date, time, decimal, uuid, loads, from_hex;

  static const Converters& get() {
    // Leaked on purpose: the interpreter may be gone when static objects are destroyed.
    static const auto* const made = [] {
      const auto datetime = py::module_::import("datetime");
      return new Converters{datetime.attr("datetime").attr("fromisoformat"),
                            datetime.attr("date").attr("fromisoformat"),
                            datetime.attr("time").attr("fromisoformat"),
                            py::module_::import("decimal").attr("Decimal"),
                            py::module_::import("uuid").attr("UUID"),
                            py::module_::import("json").attr("loads"),
                            py::module_::import("builtins").attr("bytes").attr("fromhex")};
    }();
    return *made;
  }
};

// A text that Python's type cannot hold (infinity, a year before 1) stays text.
py::object converted(const py::object& convert, const char* text) {
  try {
    return convert(text);
  } catch (const py::error_already_set&) {
    return py::str(text);
  }
}

py::list array(const char* text, bool numbers) {
  py::list out;
  for (const auto& element : pg::elements(text)) {
    if (!element) {
      out.append(py::none());
    } else if (numbers) {
      out.append(py::int_(std::strtoll(element->c_str(), nullptr, 10)));
    } else {
      out.append(py::str(*element));
    }
  }
  return out;
}

py::object value(const std::optional<std::string>& field, unsigned type) {
  if (!field) return py::none();
  const char* text = field->c_str();
  const auto& to = Converters::get();
  switch (type) {
    case kBool:
      return py::bool_(text[0] == 't');
    case kInt2:
    case kInt4:
    case kInt8:
    case kOid:
      return py::int_(std::strtoll(text, nullptr, 10));
    case kFloat4:
    case kFloat8:
      return py::float_(std::strtod(text, nullptr));
    case kNumeric:
      return to.decimal(text);
    case kBytea:
      return to.from_hex(text + 2);
    case kDate:
      return converted(to.date, text);
    case kTime:
      return converted(to.time, text);
    case kTimestamp:
    case kTimestampTz:
      return converted(to.datetime, text);
    case kUuid:
      return to.uuid(text);
    case kJson:
    case kJsonb:
      return to.loads(text);
    case kInt4Array:
    case kInt8Array:
      return array(text, true);
    case kTextArray:
      return array(text, false);
    default:
      return py::str(*field);
  }
}

template <class Element>
std::vector<Element> elements(const py::sequence& values) {
  std::vector<Element> out;
  for (const auto& each : values) out.push_back(each.cast<Element>());
  return out;
}

void add_sequence(pg::Params& out, const py::sequence& values) {
  if (values.empty() || py::isinstance<py::int_>(values[0])) return out.add(elements<std::int64_t>(values));
  if (!py::isinstance<py::bytes>(values[0])) return out.add(elements<std::string>(values));
  std::vector<std::string> texts;
  for (const auto& each : values) texts.push_back(pg::bytea(each.cast<std::string>()));
  out.add(texts);
}

}  // namespace

py::list rows_as_dicts(const pg::Table& rows) {
  py::list out;
  std::vector<py::str> names;
  for (const auto& column : rows.columns) names.emplace_back(column.name);
  for (const auto& row : rows.rows) {
    py::dict entry;
    for (std::size_t i = 0; i < row.size(); ++i) entry[names[i]] = value(row[i], rows.columns[i].type);
    out.append(std::move(entry));
  }
  return out;
}

py::tuple rows_as_tuples(const pg::Table& rows) {
  py::list names;
  py::list types;
  for (const auto& column : rows.columns) {
    names.append(column.name);
    types.append(type_name(column.type));
  }
  py::list out;
  for (const auto& row : rows.rows) {
    py::tuple entry(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) entry[i] = value(row[i], rows.columns[i].type);
    out.append(std::move(entry));
  }
  return py::make_tuple(std::move(names), std::move(types), std::move(out));
}

std::string json_text(const py::handle& value) {
  static const auto* const dumps =
      new py::object{py::module_::import("json").attr("dumps")};  // leaked on purpose, as above
  return (*dumps)(value, py::arg("ensure_ascii") = false).cast<std::string>();
}

pg::Params params_of(const py::args& values) {
  pg::Params out;
  for (const auto& each : values) {
    if (each.is_none()) {
      out.add(std::nullopt);
    } else if (py::isinstance<py::bool_>(each)) {
      out.add(each.cast<bool>());
    } else if (py::isinstance<py::float_>(each)) {
      out.add(each.cast<double>());
    } else if (py::isinstance<py::bytes>(each)) {
      out.add(pg::bytea(each.cast<std::string>()));
    } else if (py::isinstance<py::dict>(each)) {
      out.add(json_text(each));
    } else if (py::isinstance<py::list>(each) || py::isinstance<py::tuple>(each)) {
      add_sequence(out, each.cast<py::sequence>());
    } else {
      // str, int of any size, Decimal, UUID, date, datetime: their text is what PostgreSQL reads.
      out.add(py::str(each).cast<std::string>());
    }
  }
  return out;
}

}  // namespace strandline::bindings
