#include "libs/base/check.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <string>

namespace godwit::base {
namespace {

struct Death {
  int signal = 0;
  std::string text;  // what it wrote to standard error
};

// Runs a failing check in a child, so that this process lives to tell.
Death FailACheck(int left, int right) {
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // Catch2 would catch the signal and report it as its own.
    std::signal(SIGABRT, SIG_DFL);
    dup2(pipe_ends[1], STDERR_FILENO);
    GODWIT_CHECK(left == right);
    _exit(0);
  }
  close(pipe_ends[1]);
  Death death;
  char buffer[256];
  for (ssize_t n = 0; (n = read(pipe_ends[0], buffer, sizeof buffer)) > 0;) {
    death.text.append(buffer, static_cast<size_t>(n));
  }
  close(pipe_ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) death.signal = WTERMSIG(status);
  return death;
}

TEST_CASE("A failing check names itself and ends the process", "[base][unit]") {
  const Death death = FailACheck(1, 2);
  CHECK(death.signal == SIGABRT);
  CHECK(death.text.find("check_test.cc:") != std::string::npos);
  CHECK(death.text.find("check failed: left == right\n") != std::string::npos);
}

TEST_CASE("A check that holds does nothing", "[base][unit]") {
  const Death death = FailACheck(2, 2);
  CHECK(death.signal == 0);
  CHECK(death.text.empty());
}

}  // namespace
}  // namespace godwit::base
