// What a delivery and a flag change cost, on a durable PostgreSQL of its own.
//
//   bazel run --config=opt //libs/store:store_bench
//
// For each line: operations a second, and the CPU milliseconds an operation of PostgreSQL (all of
// its processes) and of this process. Rounds are interleaved: CPU drifts over minutes.

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "libs/base/random.h"
#include "libs/base/status.h"
#include "libs/db/pool.h"
#include "libs/store/admin.h"
#include "libs/store/check.h"
#include "libs/store/deliverer.h"
#include "libs/store/entries.h"
#include "libs/testing/scratch_database.h"

namespace godwit::store {
namespace {

using testing::ScratchDatabase;

constexpr int kMailboxes = 1000;
const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", base::ToString(result.status()).c_str());
  std::abort();
}

double OwnCpu() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Fields of /proc/PID/stat behind the name, which may hold spaces.
std::vector<std::string> Stat(const std::filesystem::path& process) {
  std::ifstream file(process / "stat");
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::vector<std::string> all;
  for (std::string field; fields >> field;) all.push_back(field);
  return all;
}

// Of the cluster's postmaster and its children, those that have ended included.
double PostgresCpu() {
  std::ifstream file(ScratchDatabase::SocketFolder() + "/data/postmaster.pid");
  std::string postmaster;
  std::getline(file, postmaster);
  double ticks = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto fields = Stat(entry.path());
    if (fields.size() < 15) continue;
    const bool itself = entry.path().filename() == postmaster;
    if (!itself && fields[1] != postmaster) continue;
    for (int field : {11, 12}) ticks += std::stod(fields[static_cast<size_t>(field)]);
    if (!itself) continue;
    for (int field : {13, 14}) ticks += std::stod(fields[static_cast<size_t>(field)]);
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

template <typename F>
void Measure(const char* name, int operations, F run) {
  const double postgres = PostgresCpu();
  const double own = OwnCpu();
  const auto begin = std::chrono::steady_clock::now();
  run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%-44s %8.0f/s   postgres %.3f ms   own %.3f ms\n", name, operations / took.count(),
              (PostgresCpu() - postgres) * 1e3 / operations, (OwnCpu() - own) * 1e3 / operations);
  std::fflush(stdout);
}

Delivery Message(AccountId account, int i) {
  Delivery delivery;
  delivery.targets.push_back({.account = account});
  delivery.header = "From: Bob <bob@c.example>\r\nTo: alice@b.example\r\nSubject: report " +
                    std::to_string(i) + "\r\nMessage-ID: <" + std::to_string(i) +
                    "@c.example>\r\nReceived: " + std::string(200, 'r') + "\r\n\r\n";
  while (delivery.body.size() < 1600) {
    delivery.body +=
        "Line " + std::to_string(delivery.body.size() * 31 % 997) + " of the text.\r\n";
  }
  delivery.received = kNow;
  delivery.summary = std::string(300, 's');
  delivery.message_id = std::to_string(base::RandomSource::System()->Id63()) + "@c.example";
  delivery.subject = delivery.subject_base = "report " + std::to_string(i);
  delivery.from = "Bob <bob@c.example>";
  delivery.to = "alice@b.example";
  delivery.preview = delivery.body.substr(0, 200);
  return delivery;
}

base::Task<void> Session(Deliverer* deliverer, const std::vector<AccountId>* accounts, int* next,
                         int total, int* left, base::RunLoop* loop) {
  while (*next < total) {
    const int i = (*next)++;
    const AccountId account = (*accounts)[static_cast<size_t>(i) % accounts->size()];
    auto result = co_await deliverer->Deliver(Message(account, i));
    Must(std::move(result));
  }
  if (--*left == 0) loop->Stop();
}

void DeliverMany(db::Pool* pool, const std::vector<AccountId>& accounts, int sessions, int total,
                 DelivererOptions options) {
  Deliverer deliverer(pool, options);
  base::RunLoop loop;
  int next = 0;
  int left = sessions;
  for (int s = 0; s < sessions; ++s) {
    base::SpawnOn(&loop, Session(&deliverer, &accounts, &next, total, &left, &loop));
  }
  loop.Run();
}

void Flags(db::Connection& c, AccountId account, MailboxId inbox, UidRanges uids, int times) {
  for (int i = 0; i < times; ++i) {
    FlagsChange change;
    change.mode = i % 2 == 0 ? FlagsMode::kAdd : FlagsMode::kRemove;
    change.flags = kSeen;
    Must(StoreFlags(c, account, inbox, uids, change, kNow));
  }
}

int Run() {
  ScratchDatabase database(testing::Durability::kDurable);
  auto c = database.Connect();
  (void)AddDomain(*c, "b.example", kNow);
  std::vector<AccountId> accounts;
  for (int i = 0; i < kMailboxes; ++i) {
    accounts.push_back(Must(AddAccount(*c, "u" + std::to_string(i) + "@b.example",
                                       base::RandomSource::System(), kNow)));
  }
  const std::vector<AccountId> one = {accounts[0]};
  db::Pool pool(database.PoolOptions(8));
  const DelivererOptions alone = {.max_group = 1, .max_groups = 8};
  for (int round = 0; round < 3; ++round) {
    Measure("deliver alone, 50 sessions, 1,000 boxes", 5000,
            [&] { DeliverMany(&pool, accounts, 50, 5000, alone); });
    Measure("deliver grouped, 50 sessions, 1,000 boxes", 5000,
            [&] { DeliverMany(&pool, accounts, 50, 5000, {}); });
    Measure("deliver grouped, 10 sessions, 1,000 boxes", 5000,
            [&] { DeliverMany(&pool, accounts, 10, 5000, {}); });
    Measure("deliver alone, 50 sessions, one box", 3000,
            [&] { DeliverMany(&pool, one, 50, 3000, alone); });
    Measure("deliver grouped, 50 sessions, one box", 3000,
            [&] { DeliverMany(&pool, one, 50, 3000, {}); });
  }
  const MailboxId inbox = Must(FindMailbox(*c, one[0], "INBOX")).id;
  Measure("flag change of one message", 1000, [&] { Flags(*c, one[0], inbox, {{7, 7}}, 1000); });
  Measure("flag change of 10,000 messages", 4, [&] { Flags(*c, one[0], inbox, {{1, 10000}}, 4); });
  Measure("open a mailbox of 18,000", 20, [&] {
    for (int i = 0; i < 20; ++i) Must(OpenMailbox(*c, one[0], inbox));
  });
  Measure("fetch flags of 10,000 messages", 10, [&] {
    for (int i = 0; i < 10; ++i) Must(FetchEntries(*c, one[0], inbox, {{1, 10000}}, {}, 10000));
  });
  Measure("fetch summaries of 1,000 messages", 20, [&] {
    for (int i = 0; i < 20; ++i) {
      Must(FetchEntries(*c, one[0], inbox, {{1, 1000}}, {.summary = true}));
    }
  });
  const auto findings = Must(CheckStore(*c));
  std::printf("store check: %zu findings\n", findings.size());
  return findings.empty() ? 0 : 1;
}

}  // namespace
}  // namespace godwit::store

int main() { return godwit::store::Run(); }
