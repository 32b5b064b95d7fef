#include "tools/godwitctl/dkim_rotate.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>
#include <vector>

#include "libs/base/status.h"
#include "libs/base/task.h"
#include "libs/dkim/key_record.h"
#include "libs/store/dkim_keys.h"
#include "libs/store/dkim_rotation.h"
#include "tools/godwitctl/dkim_record.h"

namespace godwit::ctl {
namespace {

using store::DkimRotation;
using store::RotationState;

std::string Shown(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone());
}

class Rotation {
 public:
  Rotation(db::Connection& connection, dns::Resolver* resolver, const RotateOptions& options,
           absl::Time now)
      : connection_(connection), resolver_(resolver), options_(options), now_(now) {}

  absl::StatusOr<Report> Run() {
    GODWIT_RETURN_IF_ERROR(Load());
    const bool under_way = rotation_ && rotation_->state != RotationState::kDone;
    if (!under_way) {
      GODWIT_ASSIGN_OR_RETURN(const bool begin, ShouldBegin());
      if (!begin) return Describe("Nothing to do: " + reason_);
      GODWIT_RETURN_IF_ERROR(Begin());
    }
    bool moved = true;
    while (moved) {
      GODWIT_ASSIGN_OR_RETURN(moved, Step());
      GODWIT_RETURN_IF_ERROR(Load());
    }
    return Describe(reason_);
  }

 private:
  absl::Status Load() {
    GODWIT_ASSIGN_OR_RETURN(rotation_, store::FindDkimRotation(connection_, options_.domain,
                                                               dkim::AlgorithmName(options_.type)));
    GODWIT_ASSIGN_OR_RETURN(keys_, store::ListDkimKeys(connection_, options_.domain));
    return absl::OkStatus();
  }

  const store::DkimKey* NewKey() const {
    if (!rotation_) return nullptr;
    for (const store::DkimKey& key : keys_) {
      if (key.selector == rotation_->selector) return &key;
    }
    return nullptr;
  }

  absl::StatusOr<bool> ShouldBegin() {
    if (options_.older_than) {
      for (const store::DkimKey& key : keys_) {
        const bool signs = key.state == store::DkimKeyState::kActive &&
                           key.algorithm == dkim::AlgorithmName(options_.type);
        if (!signs || now_ - key.activated.value_or(key.created) >= *options_.older_than) continue;
        reason_ = "the key " + key.selector + " is young enough.";
        return false;
      }
      return true;
    }
    if (!rotation_ || options_.again) return true;
    reason_ = "the last rotation is done. --again begins the next one.";
    return false;
  }

  absl::Status Begin() {
    std::string selector = options_.selector;
    GODWIT_ASSIGN_OR_RETURN(MadeKey made,
                            MakeKey(options_.domain, selector, options_.type, options_.bits, now_));
    // Several on one day.
    const std::string base = made.key.selector;
    for (int i = 2; selector.empty() && Taken(made.key.selector); ++i) {
      made.key.selector = base + "-" + std::to_string(i);
    }
    GODWIT_RETURN_IF_ERROR(store::StartDkimRotation(connection_, made.key, made.private_key, now_));
    return Load();
  }

  bool Taken(const std::string& selector) const {
    return std::any_of(keys_.begin(), keys_.end(),
                       [&](const store::DkimKey& key) { return key.selector == selector; });
  }

  // One step; false when the next is not due.
  absl::StatusOr<bool> Step() {
    switch (rotation_->state) {
      case RotationState::kPublish:
      case RotationState::kWait: return LookAndSwitch();
      case RotationState::kRetire: return Finish();
      case RotationState::kDone: break;
    }
    reason_ = "The rotation is done.";
    return false;
  }

  // The TTL of the record, when it is there and holds the new key.
  std::optional<absl::Duration> Seen(const base::DnsAnswer& answer) const {
    const store::DkimKey* key = NewKey();
    for (const std::string& text : answer.texts) {
      const auto record = dkim::ParseKeyRecord(text);
      if (key != nullptr && record.ok() && record->type == options_.type &&
          record->key == key->public_key) {
        return answer.ttl;
      }
    }
    return std::nullopt;
  }

  absl::StatusOr<bool> LookAndSwitch() {
    const std::string name = rotation_->selector + "._domainkey." + options_.domain;
    const base::DnsAnswer answer =
        base::RunBlocking(resolver_->Resolve({name, base::DnsType::kTxt}));
    if (answer.outcome == base::DnsOutcome::kTempFail) {
      reason_ = "The DNS does not answer now (" + answer.error + "); nothing is changed.";
      return false;
    }
    const auto ttl = Seen(answer);
    GODWIT_RETURN_IF_ERROR(store::NoteDkimRecord(connection_, *rotation_, ttl, now_));
    GODWIT_RETURN_IF_ERROR(Load());
    if (!ttl) {
      reason_ = answer.texts.empty()
                    ? "The record is not in the DNS yet. Publish it, then run this again:"
                    : "The DNS has another record than this. Publish it, then run this again:";
      return false;
    }
    if (now_ < *Due()) {
      reason_ = "The record is seen. The new key takes over after " + Shown(*Due()) + ".";
      return false;
    }
    GODWIT_RETURN_IF_ERROR(store::SwitchDkimKeys(connection_, *rotation_, now_));
    return true;
  }

  absl::StatusOr<bool> Finish() {
    if (!rotation_->old_selectors.empty() && now_ < *Due()) {
      reason_ = "The new key signs. Leave the old records in the DNS until " + Shown(*Due()) +
                ": mail they signed is under way.";
      return false;
    }
    GODWIT_RETURN_IF_ERROR(store::FinishDkimRotation(connection_, *rotation_, now_));
    return true;
  }

  // When the next step may be taken.
  std::optional<absl::Time> Due() const {
    if (!rotation_) return std::nullopt;
    if (rotation_->state == RotationState::kWait && rotation_->seen) {
      return *rotation_->seen + std::max(rotation_->ttl, options_.wait);
    }
    if (rotation_->state == RotationState::kRetire && rotation_->switched) {
      return *rotation_->switched + options_.retire_after;
    }
    return std::nullopt;
  }

  Report Describe(std::string text) const {
    boost::json::object json = {{"domain", options_.domain},
                                {"algorithm", dkim::AlgorithmName(options_.type)},
                                {"message", text}};
    if (!rotation_) {
      json["state"] = nullptr;
      return Report(text + "\n", std::move(json));
    }
    boost::json::array old(rotation_->old_selectors.begin(), rotation_->old_selectors.end());
    json["state"] = store::RotationStateName(rotation_->state);
    json["selector"] = rotation_->selector;
    json["started"] = TimeJson(rotation_->started);
    json["seen"] = TimeJson(rotation_->seen);
    json["ttl_seconds"] = absl::ToInt64Seconds(rotation_->ttl);
    json["switched"] = TimeJson(rotation_->switched);
    json["done"] = TimeJson(rotation_->done);
    json["due"] = TimeJson(Due());
    json["old_selectors"] = std::move(old);
    std::string head = options_.domain + ", " + std::string(dkim::AlgorithmName(options_.type)) +
                       ", new key " + rotation_->selector + ": " +
                       std::string(store::RotationStateName(rotation_->state)) + "\n" + text + "\n";
    if (const store::DkimKey* key = NewKey()) {
      json["record"] = ToJson(RecordOf(*key));
      if (rotation_->state == RotationState::kPublish) head += "\n" + ZoneLine(RecordOf(*key));
    }
    if (rotation_->state == RotationState::kDone) {
      for (const std::string& selector : rotation_->old_selectors) {
        head += "Take this record out of the DNS: " + selector + "._domainkey." + options_.domain +
                "\n";
      }
    }
    return Report(std::move(head), std::move(json));
  }

  db::Connection& connection_;
  dns::Resolver* const resolver_;
  const RotateOptions& options_;
  const absl::Time now_;
  std::optional<DkimRotation> rotation_;
  std::vector<store::DkimKey> keys_;
  std::string reason_;
};

}  // namespace

absl::StatusOr<Report> RotateKey(db::Connection& connection, dns::Resolver* resolver,
                                 const RotateOptions& options, absl::Time now) {
  return Rotation(connection, resolver, options, now).Run();
}

}  // namespace godwit::ctl
