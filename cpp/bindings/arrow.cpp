// Arrow objects of any library, taken over through the PyCapsule interface.

#include "encode/arrow.hpp"

#include <pybind11/stl.h>

#include <limits>
#include <tuple>

#include "bindings/row_encoder.hpp"
#include "bindings/rows.hpp"
#include "core/error.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using Columns = std::vector<std::tuple<std::string, std::string, bool>>;

template <typename Struct>
encode::ArrowOwned<Struct> take(const py::object& capsule, const char* name) {
  void* pointer = PyCapsule_GetPointer(capsule.ptr(), name);
  if (pointer == nullptr) throw py::error_already_set();
  auto* source = static_cast<Struct*>(pointer);
  if (source->release == nullptr) {
    throw core::Error{core::ErrorCode::DataError,
                      "the Arrow object was read before and cannot be read twice; make a new one or hand over a table"};
  }
  return encode::ArrowOwned<Struct>{source};
}

std::unique_ptr<encode::ArrowReader> open_reader(const py::object& source) {
  if (py::hasattr(source, "__arrow_c_stream__")) {
    const py::object capsule = source.attr("__arrow_c_stream__")();
    return std::make_unique<encode::ArrowReader>(take<ArrowArrayStream>(capsule, "arrow_array_stream"));
  }
  if (py::hasattr(source, "__arrow_c_array__")) {
    const py::tuple capsules{source.attr("__arrow_c_array__")()};
    auto schema = take<ArrowSchema>(capsules[0], "arrow_schema");
    auto array = take<ArrowArray>(capsules[1], "arrow_array");
    return std::make_unique<encode::ArrowReader>(std::move(schema), std::move(array));
  }
  throw core::Error{
      core::ErrorCode::ConfigError,
      type_name_of(source.ptr()) + " is no Arrow object (it has neither __arrow_c_stream__ nor __arrow_c_array__)"};
}

Columns listed(const std::vector<encode::ArrowColumn>& columns) {
  Columns list;
  list.reserve(columns.size());
  for (const encode::ArrowColumn& column : columns) list.emplace_back(column.name, column.sql_type, column.nullable);
  return list;
}

std::shared_ptr<encode::EncodedPage> next_page(encode::ArrowReader& reader, const RowEncoder& encoder,
                                               std::size_t max_rows, std::size_t max_bytes, std::int64_t page_no) {
  const std::vector<encode::ArrowTarget> targets = encoder.arrow_targets();
  const py::gil_scoped_release release;
  std::optional<encode::EncodedPage> page = reader.next_page(targets, max_rows, max_bytes, page_no);
  return page ? std::make_shared<encode::EncodedPage>(std::move(*page)) : nullptr;
}

}  // namespace

void register_arrow(py::module_& module) {
  constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
  py::class_<encode::ArrowReader>(module, "ArrowReader", "Reads an Arrow table or stream once, page by page.")
      .def(py::init(&open_reader), py::arg("source"), "source: anything with __arrow_c_stream__ or __arrow_c_array__.")
      .def(
          "schema", [](const encode::ArrowReader& reader) { return listed(reader.columns()); },
          "The columns: (name, SQL type, nullable); the SQL type of a column of the null type is ''.")
      .def("next_page", &next_page, py::arg("encoder"), py::arg("max_rows") = unlimited,
           py::arg("max_bytes") = unlimited, py::arg("page_no") = 0,
           "The next page with the encoder's columns, at most so many rows or bytes (at least one row); None at the "
           "end.");
  module.def(
      "arrow_schema",
      [](const py::object& source) {
        const auto schema = take<ArrowSchema>(source.attr("__arrow_c_schema__")(), "arrow_schema");
        return listed(encode::arrow_columns(*schema));
      },
      py::arg("source"), "The columns of anything with __arrow_c_schema__: (name, SQL type, nullable).");
}

}  // namespace strandline::bindings
