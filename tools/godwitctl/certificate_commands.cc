// godwitctl certificates: what acme keeps alive (proto/godwit/acme/v1).

#include <grpcpp/channel.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "absl/time/time.h"
#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/rpc/call.h"
#include "proto/godwit/acme/v1/acme.grpc.pb.h"
#include "tools/godwitctl/commands.h"
#include "tools/godwitctl/daemons.h"

namespace godwit::ctl {
namespace {

namespace pb = ::godwit::acme::v1;

std::string ToText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

template <typename List>
boost::json::array ToArray(const List& list) {
  return boost::json::array(list.begin(), list.end());
}

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& list) {
  std::string text;
  for (const std::string& each : list) text += (text.empty() ? "" : " ") + each;
  return text;
}

boost::json::object ToJson(const pb::Certificate& certificate) {
  return {{"kind", certificate.kind() == pb::Certificate::KIND_RPC ? "rpc" : "public"},
          {"name", certificate.name()},
          {"names", ToArray(certificate.names())},
          {"daemons", ToArray(certificate.daemons())},
          {"serial", certificate.serial()},
          {"not_before", ToText(certificate.not_before())},
          {"not_after", ToText(certificate.not_after())},
          {"renew_at", ToText(certificate.renew_at())},
          {"public_key_sha256", certificate.public_key_sha256()},
          {"last_error", certificate.last_error()}};
}

void AddCertificate(const pb::Certificate& certificate, Table* table) {
  const bool is_rpc = certificate.kind() == pb::Certificate::KIND_RPC;
  table->Add({is_rpc ? "rpc" : "public", certificate.name(), ToText(certificate.not_after()),
              ToText(certificate.renew_at()), certificate.serial(),
              is_rpc ? "" : Joined(certificate.daemons()), certificate.last_error()});
}

absl::StatusOr<Report> List(const Invocation& in) {
  GODWIT_ASSIGN_OR_RETURN(const Daemons daemons, Daemons::Load(in));
  GODWIT_ASSIGN_OR_RETURN(const auto channel, daemons.Connect("acme"));
  const auto stub = pb::Certificates::NewStub(channel);
  GODWIT_ASSIGN_OR_RETURN(const pb::ListResponse response,
                          base::RunBlocking(rpc::Call(
                              stub.get(), &pb::Certificates::StubInterface::async_interface::List,
                              pb::ListRequest(), {.deadline = daemons.deadline()})));
  Table table({"KIND", "NAME", "ENDS", "RENEWED AT", "SERIAL", "SHOWN BY", "LAST ERROR"});
  boost::json::array certificates;
  bool failed = false;
  for (const pb::Certificate& each : response.certificates()) {
    AddCertificate(each, &table);
    certificates.push_back(ToJson(each));
    failed = failed || !each.last_error().empty();
  }
  boost::json::array authorities;
  for (const pb::Authority& each : response.authorities()) {
    table.Add({"authority", each.name(), ToText(each.not_after()), "", each.serial(), "", ""});
    authorities.push_back(boost::json::object{{"name", each.name()},
                                              {"common_name", each.common_name()},
                                              {"serial", each.serial()},
                                              {"not_after", ToText(each.not_after())},
                                              {"certificate", each.certificate_pem()}});
  }
  Report report(table.ToString(), boost::json::object{{"certificates", std::move(certificates)},
                                                      {"authorities", std::move(authorities)}});
  if (failed) report.set_exit_code(1);
  return report;
}

}  // namespace

std::vector<Command> CertificateCommands() {
  return {
      {"certificates",
       {},
       {kConfigFlag},
       "Lists the certificates and authorities of acme; 1 when one could not be made or renewed.",
       List}};
}

}  // namespace godwit::ctl
