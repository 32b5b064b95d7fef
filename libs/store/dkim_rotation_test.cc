#include "libs/store/dkim_rotation.h"

#include "libs/store/store_fixture.h"

namespace godwit::store {
namespace {

using Code = absl::StatusCode;

class RotationFixture : public StoreFixture {
 public:
  DkimKey Key(std::string_view selector) {
    DkimKey key;
    key.domain = "b.example";
    key.selector = selector;
    key.algorithm = "rsa-sha256";
    key.public_key = "public " + std::string(selector);
    return key;
  }
  absl::Status Start(std::string_view selector) {
    return StartDkimRotation(*connection, Key(selector), base::Secret("private"), now);
  }
  DkimRotation Rotation() {
    return Must(FindDkimRotation(*connection, "B.example", "rsa-sha256")).value();
  }
  // "s1:active s2:retired"
  std::string Keys() {
    std::string text;
    for (const DkimKey& key : Must(ListDkimKeys(*connection))) {
      if (!text.empty()) text += " ";
      text += key.selector + ":" + std::string(DkimKeyStateName(key.state));
    }
    return text;
  }
};

TEST_CASE_METHOD(RotationFixture, "A rotation goes from publish to done", "[store][integration]") {
  MustOk(AddDkimKey(*connection, Key("old"), base::Secret("private"), now));
  MustOk(ActivateDkimKey(*connection, "b.example", "old", now));
  CHECK_FALSE(Must(FindDkimRotation(*connection, "b.example", "rsa-sha256")));
  MustOk(Start("New"));
  CHECK(Start("other").code() == Code::kFailedPrecondition);
  CHECK(Keys() == "new:pending old:active");
  CHECK(Rotation().state == RotationState::kPublish);
  CHECK(SwitchDkimKeys(*connection, Rotation(), now).code() == Code::kFailedPrecondition);

  MustOk(NoteDkimRecord(*connection, Rotation(), absl::Hours(1), now + absl::Minutes(1)));
  MustOk(NoteDkimRecord(*connection, Rotation(), absl::Minutes(1), now + absl::Minutes(2)));
  CHECK(Rotation().state == RotationState::kWait);
  CHECK(Rotation().seen == now + absl::Minutes(1));
  CHECK(Rotation().ttl == absl::Hours(1));
  // It went away: the wait begins again.
  MustOk(NoteDkimRecord(*connection, Rotation(), std::nullopt, now + absl::Minutes(3)));
  CHECK(Rotation().state == RotationState::kPublish);
  CHECK_FALSE(Rotation().seen);
  MustOk(NoteDkimRecord(*connection, Rotation(), absl::Hours(1), now + absl::Minutes(4)));

  const DkimRotation waiting = Rotation();
  MustOk(SwitchDkimKeys(*connection, waiting, now + absl::Hours(2)));
  CHECK(Keys() == "new:active old:retired");
  CHECK(Rotation().switched == now + absl::Hours(2));
  CHECK(Rotation().old_selectors == std::vector<std::string>{"old"});
  // Two administrators at the same time: one step.
  CHECK(SwitchDkimKeys(*connection, waiting, now).code() == Code::kFailedPrecondition);
  CHECK(NoteDkimRecord(*connection, waiting, std::nullopt, now).code() ==
        Code::kFailedPrecondition);
  CHECK(Start("other").code() == Code::kFailedPrecondition);

  MustOk(FinishDkimRotation(*connection, Rotation(), now + absl::Hours(200)));
  CHECK(Keys() == "new:active");
  CHECK(Rotation().state == RotationState::kDone);
  MustOk(Start("next"));
  CHECK(Rotation().state == RotationState::kPublish);
  CHECK(Keys() == "new:active next:pending");
}

TEST_CASE_METHOD(RotationFixture, "Keys of the other algorithm, and those in use again, stay",
                 "[store][integration]") {
  DkimKey edwards = Key("ed");
  edwards.algorithm = "ed25519-sha256";
  MustOk(AddDkimKey(*connection, edwards, base::Secret("private"), now));
  MustOk(ActivateDkimKey(*connection, "b.example", "ed", now));
  for (const char* selector : {"s1", "s2"}) {
    MustOk(AddDkimKey(*connection, Key(selector), base::Secret("private"), now));
    MustOk(ActivateDkimKey(*connection, "b.example", selector, now));
  }
  MustOk(Start("s3"));
  MustOk(NoteDkimRecord(*connection, Rotation(), absl::Hours(1), now));
  MustOk(SwitchDkimKeys(*connection, Rotation(), now));
  CHECK(Keys() == "ed:active s1:retired s2:retired s3:active");
  MustOk(ActivateDkimKey(*connection, "b.example", "s2", now));
  MustOk(FinishDkimRotation(*connection, Rotation(), now));
  CHECK(Keys() == "ed:active s2:active s3:active");
}

TEST_CASE_METHOD(RotationFixture, "Removing the new key gives the rotation up",
                 "[store][integration]") {
  MustOk(Start("new"));
  MustOk(RemoveDkimKey(*connection, "b.example", "new"));
  CHECK_FALSE(Must(FindDkimRotation(*connection, "b.example", "rsa-sha256")));
  // What could not be started leaves nothing.
  MustOk(Start("new"));
  CHECK(Start("later").code() == Code::kFailedPrecondition);
  CHECK(Keys() == "new:pending");
  DkimKey foreign = Key("new");
  foreign.domain = "other.example";
  CHECK(StartDkimRotation(*connection, foreign, base::Secret("private"), now).code() ==
        Code::kFailedPrecondition);
}

}  // namespace
}  // namespace godwit::store
