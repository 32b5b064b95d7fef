#pragma once

// Everything that is verified about an incoming message, together: SPF (both identities), DKIM,
// ARC, DMARC, iprev and DNS lists. It runs over one stream and asks DNS in shared rounds.
//
//   mailauth::MessageVerifier verifier(options, envelope);
//   Resolve(verifier.Questions());              // SPF and iprev, before the first byte
//   while (...) verifier.Feed(chunk);           // CRLF line ends, dots unstuffed
//   ... once header_done(): Resolve(verifier.Questions()) has keys and DMARC too
//   for (;;) {
//     auto step = verifier.Finish(answers);
//     if (auto* questions = std::get_if<std::vector<base::DnsQuestion>>(&step)) {
//     Resolve(*questions); continue; } return std::get<mailauth::Verdict>(step);
//   }
//
// No I/O, no clock, no thread; not thread-safe. Memory: the header up to its limit and some hundred
// bytes a signature. A verdict always comes: what goes wrong is a result of its method.

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/arc/chain.h"
#include "libs/base/dns_answer.h"
#include "libs/dkim/message_stream.h"
#include "libs/dkim/verify.h"
#include "libs/dmarc/evaluate.h"
#include "libs/dnsbl/list.h"
#include "libs/dnsbl/lookup.h"
#include "libs/mailauth/verdict.h"
#include "libs/spf/evaluate.h"

namespace godwit::mailauth {

struct Options {
  std::string authserv_id;  // our name in Authentication-Results (RFC 8601 §2.5)
  std::string receiver;     // our host name, for SPF's %{r} and Received-SPF; empty: authserv_id
  absl::Time now;
  dkim::VerifyOptions dkim;
  dmarc::Options dmarc;
  // Domains (A-labels, lower case) whose seal we believe about what they saw before (RFC 8617
  // §7.2).
  std::vector<std::string> trusted_sealers;
  // DNS lists to ask (RFC 5782).
  std::vector<dnsbl::List> lists;
  // False for mail that came over a trusted inner listener: SPF, iprev and lists say nothing
  // then.
  bool check_connection = true;
};

class MessageVerifier {
 public:
  MessageVerifier(Options options, Envelope envelope);
  MessageVerifier(const MessageVerifier&) = delete;
  MessageVerifier& operator=(const MessageVerifier&) = delete;

  // False once the header is too large; the rest of the message can be spared, Finish() still
  // works.
  bool Feed(std::string_view chunk) { return stream_.Feed(chunk); }
  bool header_done() const { return stream_.header_done(); }

  // What is worth asking now, without having answers: the first round of SPF and iprev from the
  // start; keys and DMARC too once header_done(). No question twice in one list.
  std::vector<base::DnsQuestion> Questions() const;
  // The same with what is already known: what SPF and iprev need next may be asked while the
  // message still comes. Empty: nothing to do before Finish().
  std::vector<base::DnsQuestion> Questions(const base::DnsAnswers& answers) const;

  // Ends the message (calls after the first do not end it again) and evaluates.
  base::DnsStep<Verdict> Finish(const base::DnsAnswers& answers);

 private:
  void OnHeader(const dkim::HeaderBlock& header, dkim::BodyHashes& body);
  spf::Query SpfQuery(spf::Identity identity) const;
  dmarc::Input DmarcInput(const std::string& author_domain, const Verdict& verdict) const;
  std::string SenderDomain() const;
  std::vector<std::string> CandidateDomains() const;
  dnsbl::Subjects ListSubjects() const;
  void AskConnection(const base::DnsAnswers& answers,
                     std::vector<base::DnsQuestion>* questions) const;
  void AskHeader(std::vector<base::DnsQuestion>* questions) const;
  // Each fills its part of the verdict, or adds to `missing` and gives false.
  bool SettleConnection(const base::DnsAnswers& answers, Verdict* verdict,
                        std::set<base::DnsQuestion>* missing) const;
  bool SettleSignatures(const base::DnsAnswers& answers, Verdict* verdict,
                        std::set<base::DnsQuestion>* missing) const;
  bool SettleDmarc(const base::DnsAnswers& answers, Verdict* verdict,
                   std::set<base::DnsQuestion>* missing) const;

  Options options_;
  Envelope envelope_;
  dkim::SignatureChecker dkim_;
  arc::ChainChecker arc_;
  absl::StatusOr<std::vector<std::string>> author_domains_;
  dkim::MessageStream stream_;
};

}  // namespace godwit::mailauth
