// ServiceMain in a child process: it takes the signals of the whole process.

#include "libs/runtime/service_main.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/runtime/metrics_listener.h"
#include "libs/runtime/test_config.pb.h"

namespace godwit::runtime {
namespace {

// The answer of a request on loopback, whole.
std::string Http(uint16_t port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    REQUIRE(send(fd, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    char buffer[4096];
    ssize_t got = 0;
    while ((got = recv(fd, buffer, sizeof buffer, 0)) > 0) {
      answer.append(buffer, static_cast<size_t>(got));
    }
  }
  close(fd);
  return answer;
}
std::string Get(uint16_t port, const std::string& path) {
  return Http(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
}

std::string WriteFile(const std::string& text) {
  const char* folder = std::getenv("TEST_TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/config-XXXXXX";
  close(mkstemp(path.data()));
  std::ofstream(path) << text;
  return path;
}

// Writes a line to a pipe for everything it is told.
class Recorder : public Service {
 public:
  Recorder(int fd, ServiceMain* main) : fd_(fd), main_(main) {}
  absl::Status Start() override {
    Say("start " + std::to_string(main_->metrics_port()));
    if (drain_twice_)
      std::thread([process = &main_->context()->process] { Twice(process); }).detach();
    return absl::OkStatus();
  }
  absl::Status Reload() override {
    Say(std::string("reload ") + (obs::Enabled(obs::Level::kDebug) ? "debug" : "info"));
    return absl::OkStatus();
  }
  ~Recorder() override { Say("destroyed"); }
  void Drain(absl::Duration grace) override {
    Say("ready " + Get(main_->metrics_port(), "/readyz").substr(9, 3));
    Say("drain " + absl::FormatDuration(grace));
    if (hang_) pause();
  }
  void Say(const std::string& line) {
    const std::string text = line + "\n";
    [[maybe_unused]] const ssize_t written = write(fd_, text.data(), text.size());
  }
  bool hang_ = false;
  bool drain_twice_ = false;

 private:
  static void Twice(Process* process) {
    while (!process->Drain().ok()) std::this_thread::yield();  // not ready yet
    process->Drain().IgnoreError();
  }
  int fd_;
  ServiceMain* main_;
};

class Child {
 public:
  explicit Child(const std::function<int(int fd)>& body) {
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(fds[1], STDERR_FILENO);  // the log
      _exit(body(fds[1]));
    }
    close(fds[1]);
    in_ = fdopen(fds[0], "r");
  }
  ~Child() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    fclose(in_);
  }
  // The next line that is not of the log.
  std::string Line() {
    char buffer[1024];
    while (fgets(buffer, sizeof buffer, in_) != nullptr) {
      std::string line = buffer;
      line.pop_back();
      last_ = line;
      if (line[0] != '{') return line;
      if (line.find("\"ready\"") != std::string::npos) return "log ready";
    }
    return "end";
  }
  void Signal(int number) { kill(pid_, number); }
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
  FILE* in_ = nullptr;
  std::string last_;
};

int RunRecorder(int fd, const std::string& path, bool hang, bool drain_twice = false) {
  ServiceMain main("test-daemon");
  auto config = main.LoadConfig<test::Config>(path);
  if (!config.ok()) return main.Fail(config.status());
  Recorder service(fd, &main);
  service.hang_ = hang;
  service.drain_twice_ = drain_twice;
  return main.Run(&service);
}

uint16_t PortOf(const std::string& line) {
  REQUIRE(line.starts_with("start "));
  return static_cast<uint16_t>(std::stoi(line.substr(6)));
}

TEST_CASE("A daemon starts, is ready, reloads, drains and ends with 0", "[runtime][process]") {
  const std::string path =
      WriteFile("common: {metrics_listen: '127.0.0.1:0', drain: {grace: 3s}}\n");
  Child child([&](int fd) { return RunRecorder(fd, path, false); });
  const uint16_t port = PortOf(child.Line());
  REQUIRE(child.Line() == "log ready");
  CHECK(Get(port, "/readyz").starts_with("HTTP/1.1 200"));
  CHECK(Get(port, "/metrics").find("process_open_fds") != std::string::npos);

  std::ofstream(path) << "common: {metrics_listen: '127.0.0.1:0', log: {level: debug}}\n";
  child.Signal(SIGHUP);
  CHECK(child.Line() == "reload debug");

  child.Signal(SIGTERM);
  CHECK(child.Line() == "ready 503");
  CHECK(child.Line() == "drain 3s");
  CHECK(child.Line() == "end");
  CHECK(child.Wait() == 0);
  unlink(path.c_str());
}

// smtp-ingress cut a session that waited for auth-verifier; the answer came while its reactors were
// being destroyed, and was posted to freed memory. A daemon that has drained destroys nothing.
TEST_CASE("After the drain the process ends, with nothing destroyed under late callbacks",
          "[runtime][process]") {
  const std::string path =
      WriteFile("common: {metrics_listen: '127.0.0.1:0', drain: {grace: 3s}}\n");
  Child child([&](int fd) { return RunRecorder(fd, path, false); });
  child.Line();
  REQUIRE(child.Line() == "log ready");
  child.Signal(SIGTERM);
  CHECK(child.Line() == "ready 503");
  CHECK(child.Line() == "drain 3s");
  CHECK(child.Line() == "end");  // and not "destroyed"
  CHECK(child.Wait() == 0);
  unlink(path.c_str());
}

TEST_CASE("A second signal ends a drain that hangs", "[runtime][process]") {
  const std::string path = WriteFile("common: {metrics_listen: '127.0.0.1:0'}\n");
  Child child([&](int fd) { return RunRecorder(fd, path, true); });
  child.Line();
  REQUIRE(child.Line() == "log ready");
  child.Signal(SIGINT);
  child.Line();
  REQUIRE(child.Line() == "drain 20s");
  child.Signal(SIGTERM);
  const int status = child.Wait();
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
  unlink(path.c_str());
}

TEST_CASE("Process::Drain ends the daemon as SIGTERM does, and twice is once",
          "[runtime][process]") {
  const std::string path =
      WriteFile("common: {metrics_listen: '127.0.0.1:0', drain: {grace: 3s}}\n");
  Child child([&](int fd) { return RunRecorder(fd, path, false, /*drain_twice=*/true); });
  child.Line();
  REQUIRE(child.Line() == "log ready");
  CHECK(child.Line() == "ready 503");
  CHECK(child.Line() == "drain 3s");
  CHECK(child.Line() == "end");
  CHECK(child.Wait() == 0);
  unlink(path.c_str());
  CHECK_FALSE(Process().Drain().ok());  // nobody waits for the signal
}

TEST_CASE("A bad configuration ends with 2, an address in use with 1", "[runtime][process]") {
  const std::string bad = WriteFile("limits: {sessions: 0}\n");
  Child child([&](int fd) { return RunRecorder(fd, bad, false); });
  CHECK(child.Line() ==
        "test-daemon: " + bad + ":1:20: limits.sessions: \"0\": must be at least 1");
  CHECK(WEXITSTATUS(child.Wait()) == 2);
  Child absent([&](int fd) { return RunRecorder(fd, bad + ".absent", false); });
  CHECK(WEXITSTATUS(absent.Wait()) == 2);
  unlink(bad.c_str());

  auto taken = MetricsListener::Start("127.0.0.1:0");
  REQUIRE(taken.ok());
  const std::string path =
      WriteFile("common: {metrics_listen: '127.0.0.1:" + std::to_string((*taken)->port()) + "'}\n");
  Child refused([&](int fd) { return RunRecorder(fd, path, false); });
  CHECK(WEXITSTATUS(refused.Wait()) == 1);
  unlink(path.c_str());
}

TEST_CASE("The metrics listener answers what it knows and refuses the rest", "[runtime][net]") {
  const auto listener = MetricsListener::Start("127.0.0.1:0");
  REQUIRE(listener.ok());
  const uint16_t port = (*listener)->port();
  CHECK(Get(port, "/healthz").starts_with("HTTP/1.1 200"));
  CHECK(Get(port, "/readyz").starts_with("HTTP/1.1 503"));
  (*listener)->SetReady(true);
  CHECK(Get(port, "/readyz?verbose").starts_with("HTTP/1.1 200"));
  CHECK(Get(port, "/other").starts_with("HTTP/1.1 404"));
  CHECK(Http(port, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
  CHECK(Http(port, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
  CHECK(Http(port, std::string(20000, 'x')).find("200 OK") == std::string::npos);
  CHECK_FALSE(MetricsListener::Start("localhost:1").ok());
  CHECK_FALSE(MetricsListener::Start("127.0.0.1").ok());
}

}  // namespace
}  // namespace godwit::runtime
