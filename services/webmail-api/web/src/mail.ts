// The three panes: mailboxes, messages, the message.

import { compose, emptyDraft, replyTo } from "./compose";
import { el, longDate, say, shortDate, size } from "./dom";
import { Email, Identity, Jmap, LoggedOut, Mailbox, logOut, nameOf } from "./jmap";
import { showHtml } from "./message";

const PAGE = 50;
const ROLE_NAMES: Record<string, string> = { inbox: "Inbox" };
const LIST_PROPERTIES = ["id", "subject", "from", "to", "receivedAt", "preview", "hasAttachment",
                         "keywords", "mailboxIds"];
const READ_PROPERTIES = [...LIST_PROPERTIES, "cc", "replyTo", "sentAt", "messageId", "references",
                         "textBody", "htmlBody", "attachments", "bodyValues"];
const BODY_PROPERTIES = ["partId", "blobId", "size", "name", "type", "cid", "disposition"];

export class MailView {
  private mailboxes: Mailbox[] = [];
  private identities: Identity[] = [];
  private selected = "";
  private search = "";
  private emails: Email[] = [];
  private more = false;
  private opened = "";
  private events: EventSource | undefined;
  private refreshing = false;
  private again = false;

  private nav = el("nav", { class: "mailboxes", "aria-label": "Mailboxes" });
  private list = el("section", { class: "list", "aria-label": "Messages" });
  private items = el("ul", {});
  private listTitle = el("h2", {});
  private moreButton = el("button", { class: "more", click: () => this.loadMore() }, "Show more");
  private reader = el("article", { class: "reader", "aria-label": "Message", tabindex: -1 });
  private shell = el("div", { class: "shell", "data-pane": "list" });

  constructor(private jmap: Jmap, private root: HTMLElement, private ended: () => void) {}

  async start(): Promise<void> {
    this.build();
    await this.loadMailboxes();
    this.identities = (await this.jmap.call(["Identity/get", {}]))[0].list;
    const inbox = this.mailboxes.find((each) => each.role === "inbox") ?? this.mailboxes[0];
    await this.select(inbox!.id);
    this.events = this.jmap.listen(() => void this.guard(() => this.refresh()));
  }

  // What goes wrong is told; a session that is over leads to the login.
  private async guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof LoggedOut) return this.leave();
      say((error as Error).message);
    }
  }

  private async logOut(): Promise<void> {
    try {
      await logOut();
    } catch (error) {
      if (error instanceof LoggedOut) throw error;
      throw new Error(`Logging out did not work: ${(error as Error).message}`);
    }
    this.leave();
  }

  private leave(): void {
    this.events?.close();
    document.querySelectorAll("dialog").forEach((dialog) => dialog.remove());
    this.ended();
  }

  private build(): void {
    const searchBox = el("input", { type: "search", placeholder: "Search this mailbox",
                                    "aria-label": "Search this mailbox" });
    const runSearch = (event: Event) => {
      event.preventDefault();
      this.search = searchBox.value.trim();
      void this.guard(() => this.loadList());
    };
    this.list.append(
      el("header", {},
        el("button", { class: "quiet back", click: () => this.pane("mailboxes") }, "Mailboxes"),
        this.listTitle,
        el("form", { role: "search", submit: runSearch, input: (event: Event) => {
          if (searchBox.value === "" && this.search) runSearch(event);
        } }, searchBox)),
      this.items, this.moreButton);
    this.shell.append(
      el("header", { class: "top" },
        el("h1", {}, el("img", { src: "/favicon.svg", alt: "", width: 24, height: 24 }), "Godwit"),
        el("button", { class: "primary", click: () => this.write() }, "Write"),
        el("span", { class: "who" }, this.jmap.username),
        el("button", { class: "quiet", click: () => void this.guard(() => this.logOut()) }, "Log out")),
      this.nav, this.list, this.reader);
    this.root.replaceChildren(this.shell);
    this.clearReader();
  }

  // On a narrow screen one pane is seen at a time.
  private pane(name: "mailboxes" | "list" | "reader"): void {
    this.shell.dataset.pane = name;
  }

  // Mailboxes

  private async loadMailboxes(): Promise<void> {
    const [got] = await this.jmap.call(["Mailbox/get", {
      properties: ["id", "name", "parentId", "role", "sortOrder", "totalEmails", "unreadEmails"] }]);
    this.mailboxes = (got.list as Mailbox[]).sort((a, b) =>
      a.sortOrder - b.sortOrder || a.name.localeCompare(b.name));
    this.drawMailboxes();
  }

  private titleOf(mailbox: Mailbox): string {
    return ROLE_NAMES[mailbox.role ?? ""] ?? mailbox.name;
  }

  private drawMailboxes(): void {
    const focused = this.nav.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).dataset.id : undefined;
    const items: HTMLElement[] = [];
    const add = (parent: string | null, depth: number) => {
      for (const mailbox of this.mailboxes.filter((each) => each.parentId === parent)) {
        const unread = mailbox.unreadEmails;
        items.push(el("li", {}, el("button", {
          "data-id": mailbox.id, "data-depth": Math.min(depth, 4),
          "aria-current": mailbox.id === this.selected ? "true" : undefined,
          click: () => void this.guard(() => this.select(mailbox.id)),
        }, el("span", { class: "name" }, this.titleOf(mailbox)),
          unread > 0 && el("span", { class: "count", "aria-label": `${unread} unread` }, String(unread)))));
        add(mailbox.id, depth + 1);
      }
    };
    add(null, 0);
    this.nav.replaceChildren(el("ul", {}, ...items));
    if (focused) this.nav.querySelector<HTMLElement>(`[data-id="${focused}"]`)?.focus();
    const current = this.mailboxes.find((each) => each.id === this.selected);
    const unread = current?.unreadEmails ?? 0;
    if (current) document.title = `${unread > 0 ? `(${unread}) ` : ""}${this.titleOf(current)} – Godwit`;
  }

  private async select(id: string): Promise<void> {
    this.selected = id;
    this.search = "";
    this.list.querySelector("input")!.value = "";
    this.opened = "";
    this.clearReader();
    this.emails = [];
    this.more = false;
    this.items.replaceChildren();
    this.moreButton.hidden = true;
    this.listTitle.textContent = "";
    this.drawMailboxes();
    this.pane("list");
    await this.loadList();
  }

  // Messages

  // Nothing when another mailbox, or another search, was chosen before the answer came.
  private async fetchPage(position: number, limit: number): Promise<Email[] | null> {
    const { selected, search } = this;
    const filter = { inMailbox: selected, ...(search ? { text: search } : {}) };
    const [, got] = await this.jmap.call(
      ["Email/query", { filter, sort: [{ property: "receivedAt", isAscending: false }], position, limit }],
      ["Email/get", { "#ids": { resultOf: "c0", name: "Email/query", path: "/ids" },
                      properties: LIST_PROPERTIES }]);
    return this.selected === selected && this.search === search ? got.list : null;
  }

  private async loadList(): Promise<void> {
    const page = await this.fetchPage(0, PAGE + 1);
    if (!page) return;
    this.more = page.length > PAGE;
    this.emails = page.slice(0, PAGE);
    this.drawList();
  }

  private loadMore(): void {
    void this.guard(async () => {
      const page = await this.fetchPage(this.emails.length, PAGE + 1);
      if (!page) return;
      const known = new Set(this.emails.map((each) => each.id));
      const first = this.emails.length;
      this.more = page.length > PAGE;
      this.emails.push(...page.slice(0, PAGE).filter((each) => !known.has(each.id)));
      this.drawList();
      this.items.querySelectorAll("button")[first]?.focus();
    });
  }

  // Something changed: mailboxes and what is loaded of the list, once at a time.
  private async refresh(): Promise<void> {
    if (this.refreshing) {
      this.again = true;
      return;
    }
    this.refreshing = true;
    try {
      do {
        this.again = false;
        const count = Math.max(PAGE, Math.min(this.emails.length, 400));
        await this.loadMailboxes();
        const page = await this.fetchPage(0, count + 1);
        if (!page) continue;
        this.more = page.length > count;
        this.emails = page.slice(0, count);
        this.drawList();
      } while (this.again);
    } finally {
      this.refreshing = false;
    }
  }

  private drawList(): void {
    const current = this.mailboxes.find((each) => each.id === this.selected);
    const focused = this.items.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).dataset.id : undefined;
    this.listTitle.textContent = current ? this.titleOf(current) : "";
    const outgoing = current?.role === "sent" || current?.role === "drafts";
    this.items.replaceChildren(...this.emails.map((email) => this.drawItem(email, outgoing)));
    if (this.emails.length === 0) {
      this.items.append(el("li", { class: "empty" }, this.search ? "Nothing found." : "No messages."));
    }
    this.moreButton.hidden = !this.more;
    if (focused) this.items.querySelector<HTMLElement>(`[data-id="${focused}"]`)?.focus();
  }

  private drawItem(email: Email, outgoing: boolean): HTMLElement {
    const unread = !email.keywords.$seen;
    const who = nameOf(outgoing ? email.to : email.from);
    return el("li", {}, el("button", {
      "data-id": email.id, class: unread ? "unread" : "",
      "aria-current": email.id === this.opened ? "true" : undefined,
      click: () => void this.guard(() => this.open(email.id)),
    },
      unread && el("span", { class: "dot", "aria-label": "Unread" }),
      el("span", { class: "from" }, who),
      el("time", { datetime: email.receivedAt }, shortDate(email.receivedAt)),
      el("span", { class: "subject" }, email.subject || "(no subject)",
        email.hasAttachment && el("span", { class: "clip", role: "img", "aria-label": "with attachment" })),
      el("span", { class: "preview" }, email.preview)));
  }

  // One message

  private clearReader(): void {
    this.reader.replaceChildren(el("p", { class: "empty" }, "Choose a message to read it."));
  }

  private async open(id: string): Promise<void> {
    this.opened = id;
    this.drawList();
    const [got] = await this.jmap.call(["Email/get", {
      ids: [id], properties: READ_PROPERTIES, bodyProperties: BODY_PROPERTIES,
      fetchTextBodyValues: true, fetchHTMLBodyValues: true, maxBodyValueBytes: 1000000 }]);
    const email = got.list[0] as Email | undefined;
    if (this.opened !== id) return;
    if (!email) {
      say("This message is gone.");
      return this.refresh();
    }
    await this.drawReader(email);
    this.pane("reader");
    if (!email.keywords.$seen) {
      await this.jmap.call(["Email/set", { update: { [id]: { "keywords/$seen": true } } }]);
      await this.refresh();
    }
  }

  private textOf(email: Email): string {
    const values = email.textBody.filter((part) => part.type === "text/plain")
      .map((part) => email.bodyValues[part.partId!]?.value ?? "");
    if (values.length > 0) return values.join("\n");
    // Only HTML: its text, for quoting.
    const html = email.htmlBody.map((part) => email.bodyValues[part.partId!]?.value ?? "").join("\n");
    return new DOMParser().parseFromString(html, "text/html").body.textContent ?? "";
  }

  private async drawReader(email: Email): Promise<void> {
    const people = (label: string, list: Email["to"]) => list && list.length > 0 &&
      el("div", {}, el("dt", {}, label), el("dd", {}, ...list.flatMap((each, i) => [
        i > 0 ? ", " : "", el("span", { title: each.email },
          each.name ? `${each.name} <${each.email}>` : each.email)])));
    const title = el("h2", { tabindex: -1 }, email.subject || "(no subject)");
    const body = el("div", { class: "body" });
    this.reader.replaceChildren(
      el("header", {},
        el("div", { class: "actions" },
          el("button", { class: "quiet back", click: () => this.pane("list") }, "Back"),
          el("button", { click: () => this.reply(email, false) }, "Reply"),
          el("button", { click: () => this.reply(email, true) }, "Reply to all"),
          el("button", { click: () => void this.guard(() => this.markUnread(email)) }, "Mark unread"),
          el("button", { click: () => void this.guard(() => this.moveTo(email, "archive", "Archived.")) }, "Archive"),
          el("button", { class: "danger", click: () => void this.guard(() => this.remove(email)) }, "Delete")),
        title,
        el("dl", {}, people("From", email.from), people("To", email.to), people("Cc", email.cc),
          el("div", {}, el("dt", {}, "Date"),
            el("dd", {}, el("time", { datetime: email.sentAt ?? email.receivedAt },
              longDate(email.sentAt ?? email.receivedAt)))))),
      body, this.drawAttachments(email));
    await this.drawBody(email, body);
    title.focus();
  }

  private async drawBody(email: Email, body: HTMLElement): Promise<void> {
    const html = email.htmlBody.filter((part) => part.type === "text/html");
    if (html.length > 0) {
      const source = html.map((part) => email.bodyValues[part.partId!]?.value ?? "").join("<hr>");
      const { frame, blocked } = await showHtml(this.jmap, email, source);
      body.replaceChildren(
        ...(blocked > 0 ? [el("p", { class: "note" },
          `Remote content was not loaded (${blocked}), so that the sender does not learn that you read this.`)] : []),
        frame);
    } else {
      body.replaceChildren(el("pre", { class: "text" }, this.textOf(email)));
    }
    const cut = Object.values(email.bodyValues).some((value) => value.isTruncated);
    if (cut) body.append(el("p", { class: "note" }, "The message is long; this is its beginning."));
  }

  private drawAttachments(email: Email): Node {
    // A picture that the message shows in its place is no attachment.
    const html = email.htmlBody.map((part) => email.bodyValues[part.partId!]?.value ?? "").join("");
    const shown = email.attachments.filter((part) =>
      part.blobId && !(part.cid && html.includes(`cid:${part.cid}`)));
    if (shown.length === 0) return document.createTextNode("");
    return el("section", { class: "attachments", "aria-label": "Attachments" },
      el("h3", {}, shown.length === 1 ? "1 attachment" : `${shown.length} attachments`),
      el("ul", {}, ...shown.map((part) => {
        const name = part.name || `attachment.${part.type.split("/")[1] ?? "bin"}`;
        return el("li", {}, el("a", { href: this.jmap.download(part.blobId!, name, part.type), download: name },
          el("span", { class: "name" }, name), el("span", { class: "size" }, size(part.size))));
      })));
  }

  // What is done with it

  private write(): void {
    compose(this.jmap, this.mailboxes, this.identities, emptyDraft(),
      () => void this.guard(() => this.refresh()));
  }

  private reply(email: Email, everybody: boolean): void {
    const draft = replyTo(email, this.textOf(email), everybody, this.jmap.username);
    compose(this.jmap, this.mailboxes, this.identities, draft, () => void this.guard(async () => {
      await this.jmap.call(["Email/set", { update: { [email.id]: { "keywords/$answered": true } } }]);
      await this.refresh();
    }));
  }

  private async gone(text: string): Promise<void> {
    say(text);
    this.opened = "";
    this.clearReader();
    this.pane("list");
    await this.refresh();
    this.items.querySelector("button")?.focus();
  }

  private async change(email: Email, update: Record<string, unknown>): Promise<void> {
    const [done] = await this.jmap.call(["Email/set", { update: { [email.id]: update } }]);
    const refused = done.notUpdated?.[email.id];
    if (refused) throw new Error(refused.description || refused.type);
  }

  private async markUnread(email: Email): Promise<void> {
    await this.change(email, { "keywords/$seen": null });
    await this.gone("Marked unread.");
  }

  private async moveTo(email: Email, role: string, text: string): Promise<void> {
    const target = this.mailboxes.find((each) => each.role === role);
    if (!target) throw new Error(`There is no mailbox for it.`);
    await this.change(email, { mailboxIds: { [target.id]: true } });
    await this.gone(text);
  }

  private async remove(email: Email): Promise<void> {
    const trash = this.mailboxes.find((each) => each.role === "trash");
    if (trash && !email.mailboxIds[trash.id]) return this.moveTo(email, "trash", "Moved to Trash.");
    if (!confirm("Delete this message for good?")) return;
    await this.jmap.call(["Email/set", { destroy: [email.id] }]);
    await this.gone("Deleted.");
  }
}
