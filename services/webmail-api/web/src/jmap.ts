// JMAP (RFC 8620, RFC 8621) as far as the page needs it.

export interface Address { name: string | null; email: string }
export interface Part {
  partId: string | null; blobId: string | null; size: number; name: string | null;
  type: string; cid: string | null; disposition: string | null;
}
export interface Mailbox {
  id: string; name: string; parentId: string | null; role: string | null;
  sortOrder: number; totalEmails: number; unreadEmails: number;
}
export interface Email {
  id: string; subject: string | null; from: Address[] | null; to: Address[] | null;
  cc: Address[] | null; replyTo: Address[] | null; receivedAt: string; sentAt: string | null;
  preview: string; hasAttachment: boolean; keywords: Record<string, true>;
  mailboxIds: Record<string, true>; messageId: string[] | null; references: string[] | null;
  textBody: Part[]; htmlBody: Part[]; attachments: Part[];
  bodyValues: Record<string, { value: string; isTruncated: boolean }>;
}
export interface Identity { id: string; email: string; name: string }

type Arguments = Record<string, unknown>;
type Call = [string, Arguments];
interface Session {
  username: string; apiUrl: string; downloadUrl: string; eventSourceUrl: string;
  primaryAccounts: Record<string, string>;
}

export class LoggedOut extends Error {}
// The answer did not come: whether the server did what was asked is not known.
export class AnswerLost extends Error {}

const USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail",
               "urn:ietf:params:jmap:submission"];

// The URLs of the session name the host as others see it; we stay where the page came from.
function here(url: string): string {
  return url.replace(/^https?:\/\/[^/]*/, "");
}

async function checked(response: Response): Promise<Response> {
  if (response.status === 401) throw new LoggedOut();
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return response;
}

export class Jmap {
  private constructor(private session: Session) {}

  static async open(): Promise<Jmap> {
    const response = await checked(await fetch("/jmap/session"));
    return new Jmap(await response.json());
  }

  get username(): string { return this.session.username; }
  get account(): string { return this.session.primaryAccounts["urn:ietf:params:jmap:mail"]!; }

  // Makes the calls in one request. The answer has one entry a call; an error of any is thrown.
  async call(...calls: Call[]): Promise<any[]> {
    const responses = await this.post(calls.map(([name, given], i) =>
      [name, { accountId: this.account, ...given }, `c${i}`]));
    const answers: any[] = [];
    for (const [name, given, id] of responses) {
      // An implicit answer (Email/set behind a submission) comes under the same id, an error of it
      // too: what was asked for is done.
      const call = Number(id.slice(1));
      if (answers[call] !== undefined) continue;
      if (name === "error") throw new Error(given.description ?? given.type);
      answers[call] = given;
    }
    return answers;
  }

  private async post(methodCalls: unknown[]): Promise<[string, any, string][]> {
    const lost = () => { throw new AnswerLost("The connection to the server was lost."); };
    const response = await checked(await fetch(here(this.session.apiUrl), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ using: USING, methodCalls }),
    }).catch(lost));
    return (await response.json().catch(lost)).methodResponses;
  }

  download(blobId: string, name: string, type: string): string {
    const values: Record<string, string> = { accountId: this.account, blobId, name, type };
    return here(this.session.downloadUrl)
      .replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(values[key]!));
  }

  // Calls back when mail or mailboxes changed, and each time the stream is open anew.
  listen(changed: () => void): EventSource {
    const url = here(this.session.eventSourceUrl).replace("{types}", "Email,Mailbox")
      .replace("{closeafter}", "no").replace("{ping}", "60");
    const source = new EventSource(url);
    let opened = false;
    source.addEventListener("open", () => {
      if (opened) changed();
      opened = true;
    });
    source.addEventListener("state", changed);
    return source;
  }
}

export async function logIn(address: string, password: string): Promise<boolean> {
  const response = await fetch("/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ address, password }),
  });
  if (response.status === 401) return false;
  await checked(response);
  return true;
}

export async function logOut(): Promise<void> {
  await checked(await fetch("/logout", { method: "POST" }));
}

export function nameOf(addresses: Address[] | null): string {
  if (!addresses || addresses.length === 0) return "(nobody)";
  return addresses.map((each) => each.name || each.email).join(", ");
}

// "Alice <a@x.example>, b@y.example" as addresses; null when one is none.
export function parseAddresses(text: string): Address[] | null {
  const found: Address[] = [];
  for (const piece of text.split(/[,;\n](?=(?:[^"]*"[^"]*")*[^"]*$)/)) {
    const one = piece.trim();
    if (!one) continue;
    const match = /^(?:"?([^"<]*?)"?\s*<)?([^<>\s"]+@[^<>\s"]+)>?$/.exec(one);
    if (!match) return null;
    found.push({ name: match[1]?.trim() || null, email: match[2]! });
  }
  return found;
}
