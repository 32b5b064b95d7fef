#pragma once

// SenderPolicy: who of those that the directory knows at an address may send as it.

#include "libs/store/directory.h"

namespace godwit::outgoing {

enum class SenderVerdict { kMay, kMayNot, kNotNow };

struct SenderPolicy {
  bool alias_members = false;  // as the alias they are members of
  bool catch_all = true;       // as an address that only the catch-all receives for

  // kNotNow: the address's domain is disabled.
  SenderVerdict Judge(store::SenderRight right) const {
    bool may = false;
    switch (right) {
      case store::SenderRight::kOwn: may = true; break;
      case store::SenderRight::kCatchAll: may = catch_all; break;
      case store::SenderRight::kAliasMember: may = alias_members; break;
      case store::SenderRight::kNone: break;
      case store::SenderRight::kDomainDisabled: return SenderVerdict::kNotNow;
    }
    return may ? SenderVerdict::kMay : SenderVerdict::kMayNot;
  }
};

}  // namespace godwit::outgoing
