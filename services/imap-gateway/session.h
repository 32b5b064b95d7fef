#pragma once

// Session: one client's connection, from the greeting to BYE (RFC 9051 §3).
//
//   not authenticated --LOGIN, AUTHENTICATE--> authenticated --SELECT, EXAMINE--> selected
//                                                    ^--CLOSE, UNSELECT, failed SELECT--'
//
// The protocol is libs/imap's; this carries it out. It is split by command family: session.cc has
// the loop, sync.cc what others changed, and auth.cc, mailbox.cc, list.cc, select.cc, append.cc,
// fetch.cc with body.cc, store.cc, search.cc, copy.cc one family each.
//
// Commands run one after the other. A handler writes untagged responses to `out_` and returns the
// tagged one; then the changes of others are told, then the tagged response goes out. While a
// socket is waited for nothing is held but this object: no database connection, no read buffer.
//
// A session belongs to one reactor's thread. Run() must have ended before it is destroyed.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/task.h"
#include "libs/imap/command.h"
#include "libs/imap/command_parser.h"
#include "libs/imap/mailbox_name.h"
#include "libs/imap/response_writer.h"
#include "libs/imap/section.h"
#include "libs/login/login.h"
#include "libs/mime/structure.h"
#include "libs/net/stream.h"
#include "libs/store/credentials.h"
#include "libs/store/entries.h"
#include "libs/store/mailbox.h"
#include "services/imap-gateway/selected.h"
#include "services/imap-gateway/settings.h"

namespace godwit::imap_gateway {

// The tagged response of a command.
struct Reply {
  std::string_view condition = "OK";
  std::string code;
  std::string_view text;  // a literal

  static Reply Ok(std::string_view text) { return {"OK", "", text}; }
  static Reply No(std::string_view code, std::string_view text) {
    return {"NO", std::string(code), text};
  }
  static Reply Bad(std::string_view text) { return {"BAD", "", text}; }
};

struct FetchPlan;       // fetch.h
struct FetchedMessage;  // fetch.h
struct SearchRun;       // search.cc
struct CopyRun;         // copy.h
struct AppendState;     // append.h

class Session : public hint::Wakeable {
 public:
  Session(std::unique_ptr<net::Stream> stream, Environment* environment, bool implicit_tls);
  ~Session() override;

  // The whole life of the connection.
  base::Task<void> Run();

  void OnChange() override;
  void OnDrain() override;
  void OnLockedOut() override;

 private:
  // ---- session.cc: the loop
  base::Task<absl::Status> Open();
  base::Task<void> Loop();
  base::Task<absl::Status> Handshake();
  base::Task<void> OnWoken();
  base::Task<void> OnSilence();
  base::Task<void> Consume();
  base::Task<void> OnEvent(imap::CommandParser::Event event);
  base::Task<void> OnLine(imap::Line line);
  void OnMalformed(const imap::Malformed& malformed);
  base::Task<void> Execute(imap::Command command);
  base::Task<Reply> Dispatch(imap::Command command);
  std::optional<Reply> CheckState(imap::Verb verb) const;
  void Answer(std::string_view tag, const Reply& reply);
  void Bye(std::string_view reason, std::string_view text);
  base::Task<void> Flush();
  base::Task<void> FlushIfLong();
  // How long the client may be silent from now on; before login: how long all of it may still take.
  absl::Duration ClientTime() const;
  // How long to wait for it: less than that when something is to be tried again meanwhile.
  absl::Duration ReadTimeout() const;
  // Lets the other sessions of this thread have their turn, after a while of computing since
  // `*began`.
  base::Task<void> Breathe(absl::Duration* began);
  // Waits for the rest of a command; nullopt when the connection is over.
  base::Task<std::optional<imap::CommandParser::Event>> NextEvent();
  Reply Failed(const absl::Status& status, std::string_view what);
  Reply Capability();
  Reply Id(const imap::IdArguments& id);
  Reply Enable(const imap::EnableArguments& enable);
  void Rest();
  base::Task<Reply> StartTls(std::string tag);
  Reply Logout();
  std::string Capabilities() const;
  imap::TextMode text_mode() const;
  imap::NameEncoding name_encoding() const;

  // ---- auth.cc
  bool MayShowPassword() const;
  base::Task<Reply> Login(imap::LoginArguments login);
  base::Task<Reply> Authenticate(imap::AuthenticateArguments arguments);
  base::Task<std::optional<std::string>> AskClient(std::string challenge);
  base::Task<Reply> Judge(login::Step step, int64_t directory_seen);
  // Too many have failed from the client's network: says so and ends the session.
  bool LoginsBlocked();
  base::Task<Reply> LoginFailed(std::string_view why);
  base::Task<Reply> LetIn(login::Accepted accepted, int64_t directory_seen);
  void LeaveAccount();

  // ---- mailbox.cc
  absl::StatusOr<std::string> MailboxName(std::string_view wire) const;
  base::Task<Reply> Create(imap::CreateArguments create);
  base::Task<Reply> Delete(std::string wire);
  base::Task<void> Purge(store::MailboxId doomed);
  base::Task<Reply> Rename(imap::RenameArguments rename);
  base::Task<Reply> RenameInbox(std::string to);
  Reply RenameFailed(const absl::Status& status);
  base::Task<Reply> Subscribe(std::string wire, bool subscribe);
  base::Task<Reply> Status(imap::StatusArguments status);
  Reply Namespace();
  std::string StatusLine(const store::Mailbox& mailbox,
                         const std::vector<imap::StatusItem>& items) const;

  // ---- list.cc
  base::Task<Reply> List(imap::ListArguments list);
  base::Task<Reply> Lsub(imap::ListArguments list);

  // ---- select.cc
  base::Task<Reply> Select(imap::SelectArguments select, bool read_only);
  base::Task<absl::Status> OpenSelected(std::string path, bool read_only,
                                        store::OpenedMailbox* opened);
  void TellSelected(const store::OpenedMailbox& opened);
  base::Task<void> TellQresync(imap::QresyncArguments qresync);
  base::Task<absl::StatusOr<store::Changes>> ChangesForClient(store::Modseq since);
  base::Task<void> TellVanishedSince(imap::QresyncArguments since);
  void TellEarlier(const store::Changes& changes,
                   const std::optional<imap::SequenceSet>& known_uids);
  void CloseSelected(bool tell);
  base::Task<Reply> Close();
  Reply Unselect();
  // Removes what has \Deleted among `uids`.
  base::Task<absl::Status> RemoveDeleted(store::UidRanges uids);

  // ---- sync.cc: what changed
  void Announce(const store::Change& change);
  // Tells the client what is new. `expunges`: sequence numbers may change now. `force`: ask the
  // store even when no hint came.
  base::Task<absl::Status> Sync(bool expunges, bool force);
  // The same; a failure is logged, and tried again as soon as the client may be told.
  base::Task<void> CatchUp(bool expunges, bool force);
  base::Task<absl::Status> SyncReopen();
  base::Task<absl::Status> TellChanged(store::UidRanges uids, store::Modseq since);
  base::Task<absl::Status> LearnKeywords(const std::vector<store::Entry>* entries);
  void TellVanished(const imap::UidSet& vanished);
  void TellExists(size_t before);
  void TellFlags(const store::Entry& entry);
  void AppendFlags(const store::Entry& entry);

  // ---- append.cc
  base::Task<void> BeginAppend(imap::AppendStart start);
  std::optional<Reply> RefuseAppend(const imap::AppendStart& start) const;
  base::Task<std::optional<Reply>> FindAppendTarget(const imap::AppendStart* start,
                                                    store::MailboxId* mailbox);
  base::Task<void> ContinueAppend(std::string_view bytes);
  base::Task<void> EndAppend(std::string tag);
  base::Task<void> AbandonAppend();
  base::Task<Reply> CommitAppend();

  // ---- fetch.cc
  // The UIDs that a set names; nullopt when a sequence number does not exist.
  std::optional<imap::UidSet> Resolve(const imap::SequenceSet& set, bool uid);
  base::Task<Reply> Fetch(imap::FetchArguments fetch);
  base::Task<absl::Status> FetchPage(FetchPlan* plan, store::UidRanges page);
  base::Task<absl::StatusOr<std::vector<store::Uid>>> MarkSeen(std::vector<store::Entry>* entries);
  base::Task<absl::Status> ReadFronts(const FetchPlan* plan, std::vector<FetchedMessage>* batch);
  base::Task<absl::Status> FetchMessage(FetchPlan* plan, const FetchedMessage* message);
  base::Task<void> FetchItem(FetchPlan* plan, const imap::FetchItem* item,
                             const FetchedMessage* message, const mime::Part* root);

  // ---- body.cc: the octets of messages
  base::Task<absl::Status> SendSection(const imap::FetchItem* item, const FetchedMessage* message,
                                       const mime::Part* root);
  base::Task<absl::Status> SendOctets(const FetchedMessage* message, imap::Octets octets);
  base::Task<absl::Status> SendBinary(const imap::FetchItem* item, const FetchedMessage* message,
                                      const mime::Part* root);
  base::Task<absl::StatusOr<std::string>> ReadOctets(const FetchedMessage* message,
                                                     imap::Octets octets);
  void AppendOverlap(std::string_view text, uint64_t at, imap::Octets cut);

  // ---- store.cc
  base::Task<Reply> Store(imap::StoreArguments store);
  void ToldOwnChange(const store::Change& change);
  void TellStored(const store::Entry& entry, bool silent);

  // ---- search.cc
  base::Task<Reply> Search(imap::SearchArguments search, std::string tag);
  base::Task<absl::Status> SearchPage(SearchRun* run, store::UidRanges page);
  base::Task<absl::StatusOr<store::Uid>> SearchContent(SearchRun* run, store::UidRanges uids);
  static void Found(SearchRun* run, const store::Entry& entry);

  // ---- copy.cc
  base::Task<Reply> Copy(imap::CopyArguments copy, bool move);
  base::Task<absl::Status> CopyPages(CopyRun* run);
  base::Task<void> UndoCopy(const CopyRun* run);
  base::Task<Reply> Expunge(imap::ExpungeArguments expunge);

  // ---- idle
  Reply BeginIdle(std::string tag);

  std::unique_ptr<net::Stream> stream_;
  Environment* const env_;
  std::shared_ptr<hint::SessionHandle> handle_;
  imap::CommandParser parser_;
  net::Input input_;       // what was read and is not used up
  std::string_view rest_;  // its unused end
  std::string out_;        // responses that are not sent yet
  std::string idle_tag_;   // of IDLE, while it runs

  std::shared_ptr<hint::Account> account_;  // set when authenticated
  std::unique_ptr<Selected> selected_;      // set when selected
  std::unique_ptr<AppendState> append_;     // set within APPEND
  absl::Duration began_;                    // when the client connected, monotonic
  absl::Duration heard_;                    // when what it sent last was done
  int failures_ = 0;                        // logins
  int missed_syncs_ = 0;                    // in a row
  int errors_ = 0;                          // malformed commands in a row
  bool implicit_tls_ = false;
  bool closing_ = false;
  bool draining_ = false;
  bool handshaking_ = false;
  int locked_out_ = 0;  // how often we were told that the login is good no more
  bool idling_ = false;
  bool rev2_ = false;       // ENABLE IMAP4rev2
  bool condstore_ = false;  // RFC 7162 §3.1
  bool qresync_ = false;
  std::string trace_;
};

}  // namespace godwit::imap_gateway
