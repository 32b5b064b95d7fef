import { el } from "./dom";
import { Jmap, LoggedOut } from "./jmap";
import { showLogin } from "./login";
import { MailView } from "./mail";

const root = document.getElementById("app")!;

async function begin(): Promise<void> {
  try {
    const jmap = await Jmap.open();
    await new MailView(jmap, root, () => showLogin(root, begin)).start();
  } catch (error) {
    if (error instanceof LoggedOut) return showLogin(root, begin);
    root.replaceChildren(el("main", { class: "login" },
      el("p", { role: "alert" }, `The mail can not be shown: ${(error as Error).message}`),
      el("button", { class: "primary", click: () => void begin() }, "Try again")));
  }
}

void begin();
