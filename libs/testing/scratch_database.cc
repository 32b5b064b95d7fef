#include "libs/testing/scratch_database.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "libs/base/check.h"
#include "libs/base/status.h"
#include "libs/store/migrate.h"

namespace godwit::testing {
namespace {

constexpr char kBin[] = "/usr/lib/postgresql/15/bin/";
constexpr char kTemplate[] = "scratch_template";

// Says what went wrong and ends the test process: without a database there is nothing to test.
template <typename T>
T OrDie(absl::StatusOr<T> result, std::string_view what) {
  if (!result.ok()) {
    std::fprintf(stderr, "scratch database: %s: %s\n", std::string(what).c_str(),
                 base::ToString(result.status()).c_str());
    std::abort();
  }
  return *std::move(result);
}

void RunOrDie(const std::string& command) {
  if (std::system(command.c_str()) == 0) return;
  std::fprintf(stderr, "scratch database: failed: %s\n", command.c_str());
  std::abort();
}

constexpr char kPrefix[] = "gwpg-";

// PostgreSQL refuses to run as root.
std::string AsPostgres() {
  return geteuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --clear-groups " : "";
}

std::string PgCtlIn(const std::string& folder, const std::string& arguments) {
  return "cd / && " + AsPostgres() + kBin + "pg_ctl -s -D " + folder + "/data " + arguments;
}

// Shell text that ends the cluster in `folder` and removes it.
std::string Cleanup(const std::string& folder) {
  return "(" + PgCtlIn(folder, "stop -m immediate") + ") >/dev/null 2>&1; rm -rf " + folder;
}

// Folders of test processes that were killed together with their keepers, as a test runner does
// with all that a test has started. Their owner's lock is free.
void RemoveStale() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/tmp", ignored)) {
    if (!entry.path().filename().string().starts_with(kPrefix)) continue;
    const int lock = open((entry.path() / "owner").c_str(), O_RDONLY | O_CLOEXEC);
    if (lock < 0) continue;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
      (void)!std::system(Cleanup(entry.path().string()).c_str());
    }
    close(lock);
  }
}

class Cluster {
 public:
  // The test has ended; had it died, the keeper would do this.
  ~Cluster() { (void)!std::system(Cleanup(folder_).c_str()); }

  static Cluster& Get(Durability durability) {
    static Cluster cluster(durability);
    return cluster;
  }

  const std::string& folder() const { return folder_; }
  std::string ConnInfo(std::string_view database, std::string_view role) const {
    std::string info = "host=" + folder_ + " dbname=";
    info += database;
    info += " user=";
    info += role;
    return info;
  }
  std::unique_ptr<db::Connection> Connect(std::string_view database,
                                          std::string_view role = "postgres") const {
    db::ConnectOptions options{.conninfo = ConnInfo(database, role)};
    options.statement_timeout = absl::Seconds(60);
    return OrDie(db::Connection::Open(options), "connect");
  }
  void Start() {
    RunOrDie(PgCtl("start -w -t 60 -l " + folder_ + "/log -o \"-k " + folder_ + Settings() + "\""));
  }
  void Stop(std::string_view mode) { RunOrDie(PgCtl("stop -w -m " + std::string(mode))); }
  std::string Create(Schema schema);

 private:
  explicit Cluster(Durability durability) : durability_(durability) {
    RemoveStale();
    MakeFolder();
    KeepWatch();
    RunOrDie(AsPostgres() + kBin + "initdb -D " + folder_ +
             "/data --no-sync -A trust -U postgres -E UTF8 --locale=C.UTF-8 >/dev/null");
    Start();
  }

  std::string PgCtl(const std::string& arguments) const { return PgCtlIn(folder_, arguments); }
  std::string Settings() const {
    std::string settings =
        " -c listen_addresses= -c shared_buffers=64MB -c max_connections=100"
        " -c unix_socket_permissions=0777";
    if (durability_ == Durability::kFast) {
      settings += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off";
    }
    return settings;
  }

  // Short, because a unix socket path holds 107 bytes.
  void MakeFolder() {
    std::string path = std::string("/tmp/") + kPrefix + "XXXXXX";
    GODWIT_CHECK(mkdtemp(path.data()) != nullptr);
    folder_ = path;
    // Held until this process ends, by whatever means.
    const int lock = open((folder_ + "/owner").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    GODWIT_CHECK(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0);
    if (geteuid() != 0) return;
    const passwd* postgres = getpwnam("postgres");
    GODWIT_CHECK(postgres != nullptr);
    GODWIT_CHECK(chown(path.c_str(), postgres->pw_uid, postgres->pw_gid) == 0);
  }

  // A process in a session of its own that waits until this one is gone, however it went (the pipe
  // closes), then stops the cluster and removes the folder.
  void KeepWatch() {
    int ends[2];
    GODWIT_CHECK(pipe2(ends, O_CLOEXEC) == 0);
    const std::string script = "read line; " + Cleanup(folder_);
    const pid_t keeper = fork();
    GODWIT_CHECK(keeper >= 0);
    if (keeper == 0) {
      setsid();
      dup2(ends[0], 0);
      const int null = open("/dev/null", O_WRONLY);
      dup2(null, 1);
      dup2(null, 2);
      execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
      _exit(127);
    }
    close(ends[0]);  // ends[1] stays open until the process ends
  }

  std::mutex mutex_;
  const Durability durability_;
  std::string folder_;
  int created_ = 0;
  bool have_template_ = false;
};

std::string Cluster::Create(Schema schema) {
  std::lock_guard lock(mutex_);
  auto admin = Connect("postgres");
  const std::string name = "scratch_" + std::to_string(++created_);
  if (schema == Schema::kEmpty) {
    OrDie(admin->ExecuteScript("CREATE DATABASE " + name), "create database");
    return name;
  }
  if (!have_template_) {
    OrDie(admin->ExecuteScript(std::string("CREATE DATABASE ") + kTemplate), "create template");
    auto connection = Connect(kTemplate);
    OrDie(store::Migrate(*connection), "migrate");
    have_template_ = true;
  }
  OrDie(admin->ExecuteScript("CREATE DATABASE " + name + " TEMPLATE " + kTemplate), "create");
  return name;
}

// The cluster of this process, once there is one.
Cluster* the_cluster = nullptr;

}  // namespace

ScratchDatabase::ScratchDatabase(Durability durability, Schema schema) {
  the_cluster = &Cluster::Get(durability);
  name_ = the_cluster->Create(schema);
}

ScratchDatabase::~ScratchDatabase() {
  auto admin = the_cluster->Connect("postgres");
  OrDie(admin->ExecuteScript("DROP DATABASE " + name_ + " WITH (FORCE)"), "drop database");
}

std::string ScratchDatabase::ConnInfo(std::string_view role) const {
  return the_cluster->ConnInfo(name_, role);
}

db::ConnectOptions ScratchDatabase::ConnectOptions(std::string_view role) const {
  return {.conninfo = ConnInfo(role)};
}

db::PoolOptions ScratchDatabase::PoolOptions(int threads, std::string_view role) const {
  db::PoolOptions options;
  options.connect = ConnectOptions(role);
  options.threads = threads;
  return options;
}

std::unique_ptr<db::Connection> ScratchDatabase::Connect(std::string_view role) const {
  return the_cluster->Connect(name_, role);
}

std::string ScratchDatabase::Ask(const std::string& sql) const {
  auto connection = Connect();
  const auto result = OrDie(connection->ExecuteScript(sql), sql);
  GODWIT_CHECK(result.size() == 1);
  return result[0].IsNull(0) ? "NULL" : std::string(result[0].Text(0));
}

void ScratchDatabase::StopCluster(StopMode mode) {
  the_cluster->Stop(mode == StopMode::kFast ? "fast" : "immediate");
}

void ScratchDatabase::StartCluster() { the_cluster->Start(); }

std::string ScratchDatabase::SocketFolder() { return the_cluster->folder(); }

}  // namespace godwit::testing
