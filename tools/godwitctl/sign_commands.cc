// godwitctl arc seal, dkim sign: what auth-verifier puts in front of a message, with keys from
// files.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libs/arc/chain.h"
#include "libs/arc/seal.h"
#include "libs/authres/authres.h"
#include "libs/base/ascii.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/dkim/keys.h"
#include "libs/dkim/sign.h"
#include "libs/dkim/verify.h"
#include "libs/dns/drive.h"
#include "libs/idna/domain.h"
#include "libs/mailauth/report.h"
#include "libs/mime/header.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/message_input.h"
#include "tools/godwitctl/resolver.h"

namespace godwit::ctl {
namespace {

constexpr size_t kMaxHeaderBytes = 8 * 1024 * 1024;

// What both commands are told.
struct SigningFlags {
  std::string domain;
  std::vector<dkim::SigningKey> keys;
  std::vector<std::string> fields;  // empty: those that the libraries choose
  absl::Time timestamp;
};

absl::StatusOr<std::string> Name(std::string_view flag, std::string_view text) {
  const auto name = idna::ToAscii(text);
  if (name && idna::IsDnsName(*name)) return *name;
  return base::InvalidArgument("--" + std::string(flag) + ": \"" + std::string(text) +
                               "\" is no name of the DNS");
}

absl::StatusOr<dkim::PrivateKey> ReadKey(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string pem{std::istreambuf_iterator<char>(file), {}};
  if (!file) return base::NotFound(path + " can't be read");
  auto key = dkim::PrivateKey::FromPem(pem);
  if (!key.ok()) return base::Annotate(key.status(), path);
  return key;
}

// --selector S1,S2 --key FILE1,FILE2
absl::StatusOr<std::vector<dkim::SigningKey>> ReadKeys(const Invocation& in) {
  const std::string selector_text = *in.flag("selector");
  const std::string key_text = *in.flag("key");
  const auto selectors = base::Split(selector_text, ',');
  const auto files = base::Split(key_text, ',');
  if (selectors.size() != files.size()) {
    return base::InvalidArgument("--key has another number of files than --selector has names");
  }
  std::vector<dkim::SigningKey> keys;
  for (size_t i = 0; i < files.size(); ++i) {
    GODWIT_ASSIGN_OR_RETURN(std::string selector, Name("selector", selectors[i]));
    GODWIT_ASSIGN_OR_RETURN(dkim::PrivateKey key, ReadKey(std::string(files[i])));
    keys.push_back({std::move(selector), std::move(key)});
  }
  return keys;
}

absl::StatusOr<std::vector<std::string>> ReadFields(const Invocation& in) {
  std::vector<std::string> fields;
  const auto text = in.flag("headers");
  if (!text) return fields;
  for (const std::string_view piece : base::Split(*text, ':')) {
    const std::string_view name = base::Trim(piece);
    if (!mime::IsFieldName(name)) {
      return base::InvalidArgument("--headers: \"" + std::string(piece) + "\" is no field name");
    }
    fields.emplace_back(name);
  }
  return fields;
}

absl::StatusOr<absl::Time> ReadTimestamp(const Invocation& in) {
  const auto text = in.flag("timestamp");
  if (!text) return base::Clock::System()->Now();
  const auto seconds = base::ParseDecimal(*text);
  // RFC 6376 §3.5: at most 12 digits.
  if (!seconds || text->size() > 12) {
    return base::InvalidArgument("--timestamp is in seconds since 1970");
  }
  return absl::FromUnixSeconds(static_cast<int64_t>(*seconds));
}

absl::StatusOr<SigningFlags> ReadFlags(const Invocation& in) {
  SigningFlags flags;
  GODWIT_ASSIGN_OR_RETURN(flags.domain, Name("domain", *in.flag("domain")));
  GODWIT_ASSIGN_OR_RETURN(flags.keys, ReadKeys(in));
  GODWIT_ASSIGN_OR_RETURN(flags.fields, ReadFields(in));
  GODWIT_ASSIGN_OR_RETURN(flags.timestamp, ReadTimestamp(in));
  return flags;
}

// The fields for programs, and the whole message for people.
Report Show(const std::string& fields, const std::string& message) {
  boost::json::array list;
  const dkim::HeaderBlock block = dkim::HeaderBlock::Parse(fields);
  for (size_t i = 0; i < block.size(); ++i) {
    list.push_back(boost::json::object{{"name", block.name(i)}, {"value", block.value(i)}});
  }
  return Report(LikeLinesOf(message, fields) + message,
                boost::json::object{{"header_fields", fields}, {"fields", std::move(list)}});
}

absl::StatusOr<Report> DkimSign(const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(SigningFlags flags, ReadFlags(in));
  dkim::SignOptions options;
  options.domain = flags.domain;
  options.exact_fields = std::move(flags.fields);
  options.timestamp = flags.timestamp;
  options.max_header_bytes = kMaxHeaderBytes;
  dkim::Signer signer(std::move(options));
  const std::string message = ReadStandardInput();
  signer.Feed(WithCrlf(message));
  GODWIT_ASSIGN_OR_RETURN(const std::string fields, signer.Finish(flags.keys));
  return Show(fields, message);
}

// One walk over a message to be sealed.
class Sealing {
 public:
  Sealing(arc::SealOptions options, absl::Time now)
      : dkim_({}, now),
        chain_({}, now),
        sealer_(std::move(options)),
        stream_(kMaxHeaderBytes, [this](const dkim::HeaderBlock& header, dkim::BodyHashes& body) {
          dkim_.OnHeader(header, body);
          chain_.OnHeader(header, body);
          sealer_.OnHeader(header, body);
        }) {}

  absl::StatusOr<std::string> Run(const std::string& message, const std::string& authserv_id,
                                  dns::Resolver* resolver) {
    stream_.Feed(message);
    stream_.End();
    if (stream_.header_too_large()) return base::ResourceExhausted("header too large to seal");
    mailauth::Verdict verdict;
    verdict.arc = base::RunBlocking(dns::Drive(resolver, [this](const base::DnsAnswers& answers) {
      return chain_.Evaluate(stream_, answers);
    }));
    std::optional<std::string> results = OwnResults(authserv_id);
    if (!results) {
      verdict.dkim =
          base::RunBlocking(dns::Drive(resolver, [this](const base::DnsAnswers& answers) {
            return dkim_.Evaluate(stream_, answers);
          }));
      results = mailauth::FormatMessageResults(verdict, authserv_id);
    }
    return sealer_.Seal(stream_, chain_, verdict.arc, *results);
  }

 private:
  // RFC 8617 §4.1.1: the Authentication-Results fields in our name, as one. Nothing when there is
  // none.
  std::optional<std::string> OwnResults(const std::string& authserv_id) const {
    const dkim::HeaderBlock& header = stream_.header();
    bool seen = false;
    std::string all;
    for (const size_t index : header.Find("Authentication-Results")) {
      const std::string_view value = header.value(index);
      const auto start = authres::ParseStart(value);
      if (!start.ok() || !base::EqualsIgnoreCase(start->authserv_id, authserv_id)) continue;
      std::string_view results = base::Trim(value.substr(start->rest));
      while (results.ends_with(';')) results = base::Trim(results.substr(0, results.size() - 1));
      seen = true;
      if (results.empty() || base::EqualsIgnoreCase(results, "none")) continue;
      all += ";\r\n\t" + std::string(results);
    }
    if (!seen) return std::nullopt;
    return authserv_id + (all.empty() ? "; none" : all);
  }

  dkim::SignatureChecker dkim_;
  arc::ChainChecker chain_;
  arc::Sealer sealer_;
  dkim::MessageStream stream_;
};

absl::StatusOr<Report> ArcSeal(const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(SigningFlags flags, ReadFlags(in));
  if (flags.keys.size() != 1) return base::InvalidArgument("a chain has one seal a hop");
  const std::string id = *in.flag("authserv-id");
  const auto start = authres::ParseStart(id);
  if (!start.ok() || start->authserv_id != id) {
    return base::InvalidArgument("--authserv-id is no name");
  }
  GODWIT_ASSIGN_OR_RETURN(const auto resolver, OpenResolver(in));
  arc::SealOptions options{
      .domain = flags.domain, .selector = flags.keys[0].selector, .key = flags.keys[0].key};
  options.exact_fields = std::move(flags.fields);
  options.timestamp = flags.timestamp;
  const std::string message = ReadStandardInput();
  Sealing sealing(std::move(options), base::Clock::System()->Now());
  GODWIT_ASSIGN_OR_RETURN(const std::string fields,
                          sealing.Run(WithCrlf(message), id, resolver.get()));
  return Show(fields, message);
}

}  // namespace

std::vector<Command> SignCommands() {
  const Flag domain{"domain", "DOMAIN", "d=, who signs", true};
  const Flag headers{"headers", "NAME:NAME",
                     "h= exactly, a name once more than its field is there to keep others from "
                     "being added; else what a reader sees"};
  const Flag timestamp{"timestamp", "SECONDS", "t=, since 1970; else now"};
  return {
      {"dkim sign",
       {},
       {domain,
        {"selector", "SELECTOR,...", "s=, one for each key", true},
        {"key", "FILE,...", "private keys, PEM", true},
        headers,
        timestamp,
        {"dns", "HOST:PORT", "taken and not needed: signing asks nothing"}},
       "Signs the message on standard input with DKIM, and prints it.",
       DkimSign},
      {"arc seal",
       {},
       {{"authserv-id", "NAME", "whose Authentication-Results are sealed", true},
        domain,
        {"selector", "SELECTOR", "s=", true},
        {"key", "FILE", "the private key, PEM", true},
        headers,
        timestamp,
        kDnsFlag},
       "Verifies the ARC chain of the message on standard input, adds one set, and prints it.",
       ArcSeal},
  };
}

}  // namespace godwit::ctl
