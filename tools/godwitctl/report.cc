#include "tools/godwitctl/report.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
// Boost.JSON is used as a header-only library; its code is compiled here, once.
#include <boost/json/src.hpp>

namespace godwit::ctl {
namespace {

// Columns that a terminal needs for UTF-8 text, wide characters aside.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

Report Report::Done(std::string text) { return Report(std::move(text), {{"ok", true}}); }

std::string Report::Json() const { return boost::json::serialize(json_); }

std::string Table::ToString() const {
  std::vector<size_t> widths(rows_[0].size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - Width(row[i]) + 2, ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace godwit::ctl
