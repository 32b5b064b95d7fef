#include <grpcpp/grpcpp.h>
#include <openssl/ssl.h>
#include <iostream>
#include "tests/boringssl/echo.grpc.pb.h"
class S final : public godwit::boringssl_test::v1::EchoService::CallbackService {
  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* c, const godwit::boringssl_test::v1::EchoRequest* q, godwit::boringssl_test::v1::EchoResponse* r) override {
    r->set_text(q->text()); auto* x = c->DefaultReactor(); x->Finish(grpc::Status::OK); return x;
  }
};
int main(){ S s; grpc::ServerBuilder b; b.RegisterService(&s); auto v=b.BuildAndStart(); std::cout<<(v!=nullptr)<<OpenSSL_version(0)<<std::endl; 
return 0;}
