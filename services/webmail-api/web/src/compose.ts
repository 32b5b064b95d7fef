import { el, longDate, say } from "./dom";
import { Address, AnswerLost, Email, Identity, Jmap, Mailbox, nameOf, parseAddresses } from "./jmap";

export interface Draft {
  to: Address[]; cc: Address[]; subject: string; text: string;
  inReplyTo: string[] | null; references: string[] | null; answers: string | null;
}

export function emptyDraft(): Draft {
  return { to: [], cc: [], subject: "", text: "", inReplyTo: null, references: null, answers: null };
}

export function replyTo(email: Email, text: string, everybody: boolean, self: string): Draft {
  const to = email.replyTo ?? email.from ?? [];
  const others = [...(email.to ?? []), ...(email.cc ?? [])].filter((each) =>
    each.email.toLowerCase() !== self.toLowerCase() &&
    !to.some((one) => one.email.toLowerCase() === each.email.toLowerCase()));
  const subject = email.subject ?? "";
  const quoted = text.trimEnd().split("\n").map((line) => `> ${line}`.trimEnd()).join("\n");
  return {
    to, cc: everybody ? others : [],
    subject: /^re:/i.test(subject) ? subject : `Re: ${subject}`,
    text: `\n\nOn ${longDate(email.sentAt ?? email.receivedAt)}, ${nameOf(email.from)} wrote:\n${quoted}\n`,
    inReplyTo: email.messageId,
    references: [...(email.references ?? []), ...(email.messageId ?? [])],
    answers: email.id,
  };
}

function formatAddresses(addresses: Address[]): string {
  return addresses.map((each) => each.name ? `"${each.name.replace(/"/g, "")}" <${each.email}>`
                                           : each.email).join(", ");
}

function field(id: string, label: string, value: string, type = "text"): [HTMLElement, HTMLInputElement] {
  const input = el("input", { id, type, value, autocomplete: "off" });
  return [el("div", { class: "field" }, el("label", { for: id }, label), input), input];
}

interface Message { from: Identity; to: Address[]; cc: Address[]; subject: string; text: string }

async function send(jmap: Jmap, mailboxes: Mailbox[], draft: Draft, message: Message): Promise<void> {
  const byRole = (role: string) => mailboxes.find((each) => each.role === role)?.id;
  const drafts = byRole("drafts") ?? byRole("inbox")!;
  const sent = byRole("sent") ?? drafts;
  const done: Record<string, unknown> = { "keywords/$draft": null, "keywords/$seen": true };
  if (sent !== drafts) {
    done[`mailboxIds/${drafts}`] = null;
    done[`mailboxIds/${sent}`] = true;
  }
  const [made, submitted] = await jmap.call(
    ["Email/set", { create: { m: {
      mailboxIds: { [drafts]: true },
      keywords: { $draft: true, $seen: true },
      from: [{ name: message.from.name || null, email: message.from.email }],
      to: message.to, ...(message.cc.length ? { cc: message.cc } : {}),
      subject: message.subject,
      ...(draft.inReplyTo ? { inReplyTo: draft.inReplyTo } : {}),
      ...(draft.references?.length ? { references: draft.references } : {}),
      bodyValues: { t: { value: message.text } },
      textBody: [{ partId: "t", type: "text/plain" }],
    } } }],
    ["EmailSubmission/set", {
      create: { s: { identityId: message.from.id, emailId: "#m" } },
      onSuccessUpdateEmail: { "#s": done },
    }]);
  const refused = made.notCreated?.m ?? submitted.notCreated?.s;
  if (!refused) return;
  // Nothing was sent: no half of it stays behind.
  const id = made.created?.m?.id;
  if (id) await jmap.call(["Email/set", { destroy: [id] }]);
  throw new Error(refused.description || refused.type);
}

// A dialog; `sent` is called when the message is in the queue.
export function compose(jmap: Jmap, mailboxes: Mailbox[], identities: Identity[], draft: Draft,
                        sent: () => void): void {
  const from = el("select", { id: "c-from" },
    ...identities.map((each) => el("option", { value: each.id }, each.email)));
  const [toField, to] = field("c-to", "To", formatAddresses(draft.to));
  const [ccField, cc] = field("c-cc", "Cc", formatAddresses(draft.cc));
  const [subjectField, subject] = field("c-subject", "Subject", draft.subject);
  const text = el("textarea", { id: "c-text", rows: 14, "aria-label": "Message" });
  text.value = draft.text;
  const problem = el("p", { class: "problem", role: "alert" });
  const button = el("button", { type: "submit", class: "primary" }, "Send");
  const dialog = el("dialog", { class: "compose", "aria-labelledby": "c-title" });
  const isDirty = () => text.value !== draft.text || to.value !== formatAddresses(draft.to);
  const discard = () => {
    if (!isDirty() || confirm("Throw this message away?")) dialog.close();
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    const recipients = parseAddresses(to.value);
    const copies = parseAddresses(cc.value);
    const identity = identities.find((each) => each.id === from.value);
    problem.textContent = "";
    if (!recipients || !copies || !identity) {
      problem.textContent = "One of the addresses is not an address.";
    } else if (recipients.length + copies.length === 0) {
      problem.textContent = "Name somebody to send it to.";
    } else {
      button.disabled = true;
      try {
        await send(jmap, mailboxes, draft, { from: identity, to: recipients, cc: copies,
                                             subject: subject.value, text: text.value });
        dialog.close();
        say("Sent.");
        sent();
      } catch (error) {
        problem.textContent = error instanceof AnswerLost
          ? `${error.message} It may have been sent: look into Sent before you send it again.`
          : `It was not sent: ${(error as Error).message}`;
      } finally {
        button.disabled = false;
      }
    }
  };
  dialog.append(el("form", { submit, input: () => { problem.textContent = ""; } },
    el("header", {}, el("h2", { id: "c-title" }, draft.answers ? "Reply" : "New message"),
      el("button", { type: "button", class: "quiet", click: discard }, "Discard")),
    el("div", { class: "field" }, el("label", { for: "c-from" }, "From"), from),
    toField, ccField, subjectField, text, problem,
    el("footer", {}, button)));
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); discard(); });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  (draft.to.length ? text : to).focus();
  text.setSelectionRange(0, 0);
}
