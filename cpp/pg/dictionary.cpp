#include "pg/dictionary.hpp"

#include "pg/row.hpp"

namespace strandline::pg {

std::string resolve_code(Session& session, std::string_view dictionary, std::string_view code,
                         std::string_view system) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    const auto found = transaction.run("dictionary.resolve", Params{dictionary, code, system});
    if (!found.empty()) return text(found[0], "item_code");
    std::string valid;
    for (const auto& row : transaction.run("dictionary.items", Params{dictionary}))
      valid += (valid.empty() ? "" : ", ") + text(row, "item_code");
    if (valid.empty())
      throw core::Error{core::ErrorCode::ConfigError, "there is no dictionary " + std::string{dictionary}};
    throw core::Error{core::ErrorCode::ConfigError, std::string{dictionary} + " \"" + std::string{code} +
                                                        "\" is not known; the valid codes are " + valid +
                                                        " (a new one is an INSERT into ing_dict_item)"};
  });
}

std::string default_code(Session& session, std::string_view dictionary) {
  return session.transact(page_limits, [&](Transaction& transaction) {
    const auto found = transaction.run("dictionary.default", Params{dictionary});
    if (found.empty())
      throw core::Error{core::ErrorCode::ConfigError,
                        "dictionary " + std::string{dictionary} + " has no default; name a code"};
    return text(found[0], "item_code");
  });
}

}  // namespace strandline::pg
