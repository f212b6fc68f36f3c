// EncodedPage, Encoder, infer and sql_type.

#include "bindings/rows.hpp"

#include <pybind11/stl.h>

#include <optional>
#include <tuple>

#include "bindings/register.hpp"
#include "bindings/row_encoder.hpp"
#include "core/error.hpp"
#include "encode/copy_writer.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using ColumnSpec = std::tuple<std::string, std::string, bool>;

std::vector<ValueTarget> targets_of(const std::vector<ColumnSpec>& columns, const py::set& parse) {
  std::vector<ValueTarget> targets;
  targets.reserve(columns.size());
  for (const auto& [name, sql_type, required] : columns) {
    targets.push_back(ValueTarget{encode::make_column(name, sql_type, required), parse.contains(name)});
  }
  return targets;
}

void require_rows(const py::object& rows) {
  if (PyList_Check(rows.ptr()) || PyTuple_Check(rows.ptr())) return;
  throw core::Error{core::ErrorCode::DataError,
                    "rows are a list or tuple of rows, not " + type_name_of(rows.ptr()) + "; wrap them in a list"};
}

py::bytes copy_stream(const encode::EncodedPage& page, std::int64_t batch_id, std::int64_t generation,
                      const std::optional<std::vector<std::string>>& columns) {
  std::string stream;
  encode::CopyWriter writer{columns ? *columns : page.column_names(),
                            [&stream](const char* data, std::size_t size) { stream.append(data, size); }};
  writer.write(page, batch_id, generation);
  writer.finish();
  return py::bytes{stream};
}

py::buffer_info fields_of(encode::EncodedPage& page) {
  const std::string_view fields = page.fields();
  constexpr bool readonly = true;
  return {reinterpret_cast<const std::uint8_t*>(fields.data()), static_cast<py::ssize_t>(fields.size()), readonly};
}

void register_page(py::module_& module) {
  py::class_<encode::EncodedPage, std::shared_ptr<encode::EncodedPage>>(module, "EncodedPage", py::buffer_protocol(),
                                                                        "One page of rows as COPY BINARY fields.")
      .def_property_readonly("record_count", &encode::EncodedPage::rows, "Rows in the page.")
      .def_property_readonly("nbytes", &encode::EncodedPage::bytes, "Bytes of the encoded fields.")
      .def_property_readonly("columns", &encode::EncodedPage::column_names, "Names of the columns, in field order.")
      .def_property_readonly(
          "digest",
          [](const encode::EncodedPage& page) {
            core::Digest digest;
            {
              const py::gil_scoped_release release;
              digest = page.digest();
            }
            return py::bytes{reinterpret_cast<const char*>(digest.data()), digest.size()};
          },
          "SHA-256 over the encoded fields, 32 bytes: the batch's content digest.")
      .def_property_readonly(
          "fields", [](const py::object& page) { return py::memoryview{page}; },
          "The encoded fields of all rows, back to back, without lineage: per field an int32 length and its bytes.")
      .def("lowest", &encode::EncodedPage::lowest, py::arg("column"), py::call_guard<py::gil_scoped_release>(),
           "The smallest value of a column, an id or microseconds since 1970; None where that cannot be told.")
      .def("copy_stream", &copy_stream, py::arg("batch_id"), py::arg("generation"), py::arg("columns") = py::none(),
           "The whole COPY BINARY stream of this page alone, lineage fields included. `columns` lists those of the "
           "COPY, "
           "where it has more than the page.")
      .def("__len__", &encode::EncodedPage::rows)
      .def("__repr__",
           [](const encode::EncodedPage& page) {
             return "EncodedPage(record_count=" + std::to_string(page.rows()) +
                    ", nbytes=" + std::to_string(page.bytes()) + ")";
           })
      .def_buffer(&fields_of);
}

void register_encoder(py::module_& module) {
  py::class_<RowEncoder>(module, "Encoder", "Encodes pages of Python rows for a fixed list of columns.")
      .def(py::init([](const std::vector<ColumnSpec>& columns, const py::iterable& parse) {
             return std::make_unique<RowEncoder>(targets_of(columns, py::set{parse}));
           }),
           py::arg("columns"), py::arg("parse") = py::tuple{},
           "columns: (name, SQL type, required). parse: names of columns whose text is read as their type.")
      .def(
          "encode",
          [](RowEncoder& encoder, const py::object& rows, std::int64_t page_no) {
            require_rows(rows);
            return encoder.encode(rows, page_no);
          },
          py::arg("rows"), py::arg("page_no") = 0,
          "Returns the page, and the names of members that no column takes although they hold a value.");
}

}  // namespace

void register_rows(py::module_& module) {
  register_page(module);
  register_encoder(module);
  module.def(
      "infer",
      [](const py::object& rows, std::int64_t page_no, const py::object& known) {
        require_rows(rows);
        return infer_columns(rows, page_no, known);
      },
      py::arg("rows"), py::arg("page_no") = 0, py::arg("known") = py::tuple{},
      "Columns and SQL types from the types of the values: [(name, SQL type)], without `known` ones and those of None "
      "only.");
  module.def(
      "sql_type", [](const std::string& name) { return encode::make_column({}, name).sql_type; }, py::arg("name"),
      "A SQL type name as PostgreSQL's format_type spells it; ConfigError for a type that is not supported.");
  register_arrow(module);
}

}  // namespace strandline::bindings
