#include "libs/dmarc_report/parse.h"

#include <expat.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"
#include "libs/base/status.h"

namespace godwit::dmarc_report {
namespace {

// Between the namespace and the local name in what expat calls an element.
constexpr char kSeparator = '\n';
constexpr std::string_view kNamespace = "urn:ietf:params:xml:ns:dmarc-2.0";

std::string_view LocalName(std::string_view name) {
  const size_t at = name.rfind(kSeparator);
  return at == name.npos ? name : name.substr(at + 1);
}

// Trimmed, control characters as spaces: it ends on terminals and in logs.
std::string Clean(std::string_view text) {
  std::string clean(base::Trim(text));
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return clean;
}

std::optional<int64_t> Number(std::string_view text) {
  const auto number = base::ParseDecimal(text);
  if (!number || *number > (1ULL << 53)) return std::nullopt;
  return static_cast<int64_t>(*number);
}

// The state machine: elements by the path of their local names.
class Reader {
 public:
  explicit Reader(const ParseLimits& limits) : limits_(limits) {}

  void Attach(XML_Parser parser);
  absl::Status status() const { return status_; }
  absl::StatusOr<Report> Finish();

 private:
  static void OnStart(void* self, const XML_Char* name, const XML_Char**) {
    static_cast<Reader*>(self)->Start(name);
  }
  static void OnEnd(void* self, const XML_Char*) { static_cast<Reader*>(self)->End(); }
  static void OnText(void* self, const XML_Char* text, int size) {
    static_cast<Reader*>(self)->Text({text, static_cast<size_t>(size)});
  }
  static void OnDoctype(void* self, const XML_Char*, const XML_Char*, const XML_Char*, int) {
    static_cast<Reader*>(self)->Fail(base::InvalidArgument("a report has no document type"));
  }

  void Start(std::string_view name);
  void End();
  void Text(std::string_view text);
  void Fail(absl::Status status);
  void Open();
  void Take(std::string text);
  bool TakeMetadata(std::string_view at, std::string* text);
  bool TakePolicy(std::string_view at, std::string* text);
  bool TakeRecord(std::string_view at, std::string* text);
  bool TakeResult(std::string_view at, std::string* text);
  void CheckRecord();
  void Set(std::string* field, std::string* text) {
    if (field->empty()) *field = std::move(*text);
  }
  template <typename T>
  void Append(std::vector<T>* list) {
    // An empty element has 7 octets, and what is kept of it twenty times as many.
    if (list->size() >= limits_.results || ++results_ > limits_.results_in_all) {
      return Fail(base::ResourceExhausted("too many results"));
    }
    list->emplace_back();
  }

  const ParseLimits limits_;
  XML_Parser parser_ = nullptr;
  absl::Status status_;
  std::string path_;                  // "/feedback/record/row"
  std::vector<size_t> path_lengths_;  // before each open element
  std::string text_;
  bool leaf_ = false;  // nothing has been opened inside the innermost element
  Report report_;
  size_t results_ = 0;
  bool have_begin_ = false;
  bool have_end_ = false;
};

void Reader::Attach(XML_Parser parser) {
  parser_ = parser;
  XML_SetUserData(parser, this);
  XML_SetElementHandler(parser, OnStart, OnEnd);
  XML_SetCharacterDataHandler(parser, OnText);
  XML_SetStartDoctypeDeclHandler(parser, OnDoctype);
}

void Reader::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
  XML_StopParser(parser_, XML_FALSE);
}

void Reader::Start(std::string_view name) {
  if (!status_.ok()) return;
  if (path_lengths_.size() >= limits_.depth) {
    return Fail(base::ResourceExhausted("elements are nested too deep"));
  }
  const std::string_view local = LocalName(name);
  if (path_lengths_.empty()) {
    if (local != "feedback") return Fail(base::InvalidArgument("not a DMARC report"));
    report_.schema =
        name.starts_with(kNamespace) && name.size() == kNamespace.size() + 1 + local.size()
            ? Schema::kRfc9990
            : Schema::kRfc7489;
  }
  path_lengths_.push_back(path_.size());
  path_ += '/';
  // What is longer is none of ours.
  path_ += local.substr(0, 64);
  text_.clear();
  leaf_ = true;
  Open();
}

// What makes a new member of a list.
void Reader::Open() {
  constexpr std::string_view kRecord = "/feedback/record";
  if (!path_.starts_with(kRecord)) return;
  const std::string_view at = std::string_view(path_).substr(kRecord.size());
  if (!at.empty() && at[0] != '/') return;  // another element, whose name begins alike
  if (at.empty()) {
    if (report_.records.size() >= limits_.records) {
      return Fail(base::ResourceExhausted("too many records"));
    }
    report_.records.emplace_back();
    return;
  }
  Record& record = report_.records.back();
  if (at == "/row/policy_evaluated/reason") Append(&record.reasons);
  if (at == "/auth_results/dkim") Append(&record.dkim_results);
  if (at == "/auth_results/spf") Append(&record.spf_results);
}

void Reader::Text(std::string_view text) {
  if (!status_.ok() || !leaf_) return;
  if (text.size() > limits_.text_bytes - text_.size()) {
    return Fail(base::ResourceExhausted("a text is too long"));
  }
  text_ += text;
}

void Reader::End() {
  if (!status_.ok()) return;
  if (leaf_) Take(Clean(text_));
  if (path_ == "/feedback/record") CheckRecord();
  path_.resize(path_lengths_.back());
  path_lengths_.pop_back();
  text_.clear();
  leaf_ = false;
}

void Reader::Take(std::string text) {
  constexpr std::string_view kMetadata = "/feedback/report_metadata/";
  constexpr std::string_view kPolicy = "/feedback/policy_published/";
  constexpr std::string_view kRecord = "/feedback/record/";
  const std::string_view path = path_;
  bool good = true;
  if (path.starts_with(kMetadata)) good = TakeMetadata(path.substr(kMetadata.size()), &text);
  if (path.starts_with(kPolicy)) good = TakePolicy(path.substr(kPolicy.size()), &text);
  if (path.starts_with(kRecord)) good = TakeRecord(path.substr(kRecord.size()), &text);
  if (!good) Fail(base::InvalidArgument("no number in " + path_));
}

bool Reader::TakeMetadata(std::string_view at, std::string* text) {
  if (at == "org_name") Set(&report_.org_name, text);
  if (at == "email") Set(&report_.email, text);
  if (at == "extra_contact_info") Set(&report_.extra_contact_info, text);
  if (at == "report_id") Set(&report_.report_id, text);
  if (at == "generator") Set(&report_.generator, text);
  if (at == "error") {
    Append(&report_.errors);
    if (status_.ok()) report_.errors.back() = std::move(*text);
  }
  const bool begin = at == "date_range/begin";
  if (!begin && at != "date_range/end") return true;
  const auto seconds = Number(*text);
  if (!seconds) return false;
  (begin ? report_.begin : report_.end) = *seconds;
  (begin ? have_begin_ : have_end_) = true;
  return true;
}

bool Reader::TakePolicy(std::string_view at, std::string* text) {
  PublishedPolicy& policy = report_.policy;
  if (at == "domain") Set(&policy.domain, text);
  if (at == "p") Set(&policy.p, text);
  if (at == "sp") Set(&policy.sp, text);
  if (at == "np") Set(&policy.np, text);
  if (at == "adkim") Set(&policy.adkim, text);
  if (at == "aspf") Set(&policy.aspf, text);
  if (at == "fo") Set(&policy.fo, text);
  if (at == "testing") Set(&policy.testing, text);
  if (at == "discovery_method") Set(&policy.discovery_method, text);
  // Some leave it empty.
  if (at == "pct" && !text->empty()) {
    const auto percent = Number(*text);
    if (!percent || *percent > 100) return false;
    policy.pct = static_cast<int>(*percent);
  }
  return true;
}

bool Reader::TakeRecord(std::string_view at, std::string* text) {
  Record& record = report_.records.back();
  if (at == "row/source_ip") Set(&record.source_ip, text);
  if (at == "row/policy_evaluated/disposition") Set(&record.disposition, text);
  if (at == "row/policy_evaluated/dkim") Set(&record.dkim, text);
  if (at == "row/policy_evaluated/spf") Set(&record.spf, text);
  if (at == "identifiers/envelope_to") Set(&record.envelope_to, text);
  if (at == "identifiers/envelope_from") Set(&record.envelope_from, text);
  if (at == "identifiers/header_from") Set(&record.header_from, text);
  if (at == "row/count") {
    const auto count = Number(*text);
    if (!count) return false;
    record.count = *count;
  }
  return TakeResult(at, text);
}

bool Reader::TakeResult(std::string_view at, std::string* text) {
  Record& record = report_.records.back();
  constexpr std::string_view kReason = "row/policy_evaluated/reason/";
  constexpr std::string_view kDkim = "auth_results/dkim/";
  constexpr std::string_view kSpf = "auth_results/spf/";
  if (at.starts_with(kReason)) {
    Reason& reason = record.reasons.back();
    if (at.substr(kReason.size()) == "type") Set(&reason.type, text);
    if (at.substr(kReason.size()) == "comment") Set(&reason.comment, text);
  }
  if (at.starts_with(kDkim)) {
    DkimResult& dkim = record.dkim_results.back();
    const std::string_view name = at.substr(kDkim.size());
    if (name == "domain") Set(&dkim.domain, text);
    if (name == "selector") Set(&dkim.selector, text);
    if (name == "result") Set(&dkim.result, text);
    if (name == "human_result") Set(&dkim.human_result, text);
  }
  if (at.starts_with(kSpf)) {
    SpfResult& spf = record.spf_results.back();
    const std::string_view name = at.substr(kSpf.size());
    if (name == "domain") Set(&spf.domain, text);
    if (name == "scope") Set(&spf.scope, text);
    if (name == "result") Set(&spf.result, text);
    if (name == "human_result") Set(&spf.human_result, text);
  }
  return true;
}

void Reader::CheckRecord() {
  if (!base::IpAddress::Parse(report_.records.back().source_ip)) {
    Fail(base::InvalidArgument("a record without a source address"));
  }
}

absl::StatusOr<Report> Reader::Finish() {
  if (!have_begin_ || !have_end_) return base::InvalidArgument("the report has no date range");
  if (report_.end < report_.begin) return base::InvalidArgument("the date range ends too early");
  if (report_.policy.domain.empty()) return base::InvalidArgument("the report names no domain");
  return std::move(report_);
}

}  // namespace

absl::StatusOr<Report> ParseXml(std::string_view xml, const ParseLimits& limits) {
  if (xml.size() > limits.xml_bytes) return base::ResourceExhausted("the report is too large");
  std::unique_ptr<XML_ParserStruct, void (*)(XML_Parser)> parser(
      XML_ParserCreateNS(nullptr, kSeparator), XML_ParserFree);
  if (parser == nullptr) return base::ResourceExhausted("no memory");
  Reader reader(limits);
  reader.Attach(parser.get());
  const XML_Status done =
      XML_Parse(parser.get(), xml.data(), static_cast<int>(xml.size()), /*isFinal=*/1);
  GODWIT_RETURN_IF_ERROR(reader.status());
  if (done != XML_STATUS_OK) {
    return base::InvalidArgument("no XML: " +
                                 std::string(XML_ErrorString(XML_GetErrorCode(parser.get()))));
  }
  return reader.Finish();
}

}  // namespace godwit::dmarc_report
