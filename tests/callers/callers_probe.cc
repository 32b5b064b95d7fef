// callers_probe: calls RPCs that it knows nothing of, with an empty request, as one daemon after
// the other, and tells how each call ended. For callers_test.py.
//
//   callers_probe PKI_FOLDER < commands
//
//   methods TARGET DAEMON CALLER          the methods the server has, by reflection, on one line
//   call TARGET DAEMON CALLER METHOD      "CODE TEXT" of the status; 0 when a reply came
//
// PKI_FOLDER/CALLER/rpc.pem is the caller's identity.

#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "libs/base/check.h"
#include "libs/base/status.h"
#include "libs/rpc/client.h"
#include "tests/callers/reflection_view.pb.h"

namespace godwit::tests {
namespace {

constexpr int kDeadlineSeconds = 15;
constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

class Probe {
 public:
  explicit Probe(std::string pki) : pki_(std::move(pki)) {}

  // One request, at most one reply: every kind of method takes that.
  grpc::Status Call(const std::string& target, const std::string& daemon, const std::string& caller,
                    const std::string& method, const std::string& request, std::string* reply) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(kDeadlineSeconds));
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(ChannelOf(target, daemon, caller));
    const auto call = stub.PrepareCall(&context, method, &queue);
    grpc::Slice slice(request);
    const grpc::ByteBuffer sent(&slice, 1);
    grpc::ByteBuffer received;
    call->StartCall(nullptr);
    bool ok = Next(&queue);
    if (ok) {
      call->WriteLast(sent, grpc::WriteOptions(), nullptr);
      ok = Next(&queue);
    }
    call->Read(&received, nullptr);
    const bool answered = Next(&queue);
    // A server stream may never end by itself.
    if (answered) context.TryCancel();
    grpc::Status status;
    call->Finish(&status, nullptr);
    Next(&queue);
    if (!answered) return status;
    grpc::Slice whole;
    GODWIT_CHECK(received.DumpToSingleSlice(&whole).ok());
    reply->assign(reinterpret_cast<const char*>(whole.begin()), whole.size());
    return grpc::Status::OK;
  }

  // "/package.Service/Method" of everything but gRPC's own services.
  std::set<std::string> Methods(const std::string& target, const std::string& daemon,
                                const std::string& caller) {
    std::set<std::string> methods;
    ReflectionRequest request;
    request.set_list_services("");
    const ReflectionResponse listed = Ask(target, daemon, caller, request);
    for (const Service& service : listed.list_services_response().service()) {
      if (service.name().starts_with("grpc.")) continue;
      ReflectionRequest file;
      file.set_file_containing_symbol(service.name());
      AddMethods(Ask(target, daemon, caller, file), service.name(), &methods);
    }
    return methods;
  }

 private:
  static bool Next(grpc::CompletionQueue* queue) {
    void* tag = nullptr;
    bool ok = false;
    GODWIT_CHECK(queue->Next(&tag, &ok));
    return ok;
  }

  ReflectionResponse Ask(const std::string& target, const std::string& daemon,
                         const std::string& caller, const ReflectionRequest& request) {
    std::string reply;
    const grpc::Status status =
        Call(target, daemon, caller, kReflection, request.SerializeAsString(), &reply);
    ReflectionResponse response;
    if (!status.ok()) std::cerr << daemon << ": reflection: " << status.error_message() << "\n";
    GODWIT_CHECK(response.ParseFromString(reply));
    return response;
  }

  static void AddMethods(const ReflectionResponse& response, const std::string& service,
                         std::set<std::string>* methods) {
    for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
      google::protobuf::FileDescriptorProto file;
      GODWIT_CHECK(file.ParseFromString(bytes));
      for (const auto& each : file.service()) {
        if (file.package() + "." + each.name() != service) continue;
        for (const auto& method : each.method()) {
          methods->insert("/" + service + "/" + method.name());
        }
      }
    }
  }

  std::shared_ptr<grpc::Channel> ChannelOf(const std::string& target, const std::string& daemon,
                                           const std::string& caller) {
    std::shared_ptr<grpc::Channel>& channel = channels_[target + " " + caller];
    if (channel != nullptr) return channel;
    const std::string own = pki_ + "/" + caller;
    rpc::ChannelOptions options;
    options.target = target;
    options.daemon = daemon;
    options.tls = {own + "/rpc-ca.pem", own + "/rpc.pem", own + "/rpc.pem"};
    auto connected = rpc::Connect(options);
    if (!connected.ok()) std::cerr << base::ToString(connected.status()) << "\n";
    GODWIT_CHECK(connected.ok());
    channel = *std::move(connected);
    return channel;
  }

  const std::string pki_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_;
};

int Run(const std::string& pki) {
  Probe probe(pki);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string command, target, daemon, caller, method;
    words >> command >> target >> daemon >> caller >> method;
    if (command == "methods") {
      for (const std::string& each : probe.Methods(target, daemon, caller)) {
        std::cout << each << ' ';
      }
    } else {
      std::string reply;
      const grpc::Status status = probe.Call(target, daemon, caller, method, "", &reply);
      std::cout << status.error_code() << ' ' << status.error_message();
    }
    std::cout << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace godwit::tests

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: callers_probe PKI_FOLDER < commands\n";
    return 2;
  }
  return godwit::tests::Run(argv[1]);
}
