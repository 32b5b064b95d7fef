#pragma once

// Report: what a command found, for people (text, mostly a table) and for programs (JSON).

#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::ctl {

class Report {
 public:
  // Both by hand.
  Report(std::string text, boost::json::value json)
      : text_(std::move(text)), json_(std::move(json)) {}
  // A sentence; {"ok": true} for programs.
  static Report Done(std::string text);

  const std::string& text() const { return text_; }
  // One line.
  std::string Json() const;
  // What the process ends with; 1 when the command worked but found something wrong.
  int exit_code() const { return exit_code_; }
  void set_exit_code(int code) { exit_code_ = code; }

 private:
  std::string text_;
  boost::json::value json_;
  int exit_code_ = 0;
};

// A table of texts for people: columns are as wide as their widest cell.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace godwit::ctl
