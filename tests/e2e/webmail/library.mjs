// A JMAP library that others wrote (jmap-jam) logs in, lists, reads, sends, and hears of a delivery.
//
//   NODE_EXTRA_CA_CERTS=ca.pem node library.mjs '{"url", "modules", "address", "password", "to", ...}'
//
// Prints one JSON object of what was seen.

import { pathToFileURL } from "node:url";
import path from "node:path";

const given = JSON.parse(process.argv[2]);
const { JamClient } = await import(
  pathToFileURL(path.join(given.modules, "jmap-jam", "dist", "index.js")).href);
const seen = {};

// The library wants a bearer token: the session of a login.
const login = await fetch(`${given.url}/login`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Origin: given.url },
  body: JSON.stringify({ address: given.address, password: given.password }),
});
const token = /^__Host-godwit=([^;]+)/.exec(login.headers.get("set-cookie"))[1];

// Node has no EventSource; the library takes the global one.
globalThis.EventSource = class {
  constructor(url) {
    this.listeners = {};
    this.abort = new AbortController();
    void this.run(url);
  }
  addEventListener(name, listener) { this.listeners[name] = listener; }
  close() { this.abort.abort(); }
  async run(url) {
    const response = await fetch(url, { headers: { Authorization: `Bearer ${token}` }, signal: this.abort.signal });
    this.listeners.open?.({ status: response.status });
    let text = "";
    try {
      for await (const chunk of response.body) {
        text += Buffer.from(chunk).toString();
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          const lines = text.slice(0, end).split("\n");
          text = text.slice(end + 2);
          const value = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
          if (value("event")) this.listeners[value("event")]?.({ data: value("data") });
        }
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  }
};

const jam = new JamClient({ sessionUrl: `${given.url}/.well-known/jmap`, bearerToken: token });
const accountId = await jam.getPrimaryAccount();
seen.username = (await jam.session).username;

const [mailboxes] = await jam.api.Mailbox.get({ accountId });
seen.roles = mailboxes.list.map((each) => each.role).filter(Boolean).sort();
const role = (name) => mailboxes.list.find((each) => each.role === name).id;

const [{ emails }] = await jam.requestMany((t) => {
  const found = t.Email.query({ accountId, filter: { inMailbox: role("inbox") }, limit: 10 });
  const emails = t.Email.get({ accountId, ids: found.$ref("/ids"),
    properties: ["subject", "from", "bodyValues", "textBody"], fetchTextBodyValues: true });
  return { found, emails };
});
seen.subjects = emails.list.map((each) => each.subject);
seen.body = Object.values(emails.list[0].bodyValues).map((each) => each.value).join("");

const blob = await jam.uploadBlob(accountId, "attached text");
seen.uploaded = blob.size;
const fetched = await jam.downloadBlob({ accountId, blobId: blob.blobId, mimeType: "text/plain", fileName: "a.txt" });
seen.downloaded = await fetched.text();

const [{ list: identities }] = await jam.api.Identity.get({ accountId });
const [made] = await jam.api.Email.set({ accountId, create: { m: {
  mailboxIds: { [role("drafts")]: true }, keywords: { $draft: true },
  from: [{ email: given.address }], to: [{ email: given.to }], subject: given.sent,
  bodyValues: { t: { value: "Sent by a library.\n" } },
  textBody: [{ partId: "t", type: "text/plain" }],
  attachments: [{ blobId: blob.blobId, type: "text/plain", name: "a.txt" }] } } });
const [submission] = await jam.api.EmailSubmission.set({ accountId,
  create: { s: { identityId: identities[0].id, emailId: made.created.m.id } },
  onSuccessUpdateEmail: { "#s": { [`mailboxIds/${role("drafts")}`]: null,
    [`mailboxIds/${role("sent")}`]: true, "keywords/$draft": null } } });
seen.submission = submission;
const [{ list: moved }] = await jam.api.Email.get({ accountId, ids: [made.created.m.id], properties: ["mailboxIds", "keywords"] });
seen.moved = Object.keys(moved[0].mailboxIds)[0] === role("sent") && !moved[0].keywords.$draft;

const events = await jam.connectEventSource({ types: ["Email"], ping: 0 });
const state = new Promise((resolve) => events.addEventListener("state", (event) => resolve(JSON.parse(event.data))));
await new Promise((resolve) => events.addEventListener("open", resolve));
// The stream says something when it is open; the delivery comes after that.
await new Promise((resolve) => setTimeout(resolve, 300));
process.stderr.write("deliver\n");
const begin = Date.now();
const change = await Promise.race([state,
  new Promise((_, reject) => setTimeout(() => reject(new Error("no push came")), 15000))]);
seen.pushMilliseconds = Date.now() - begin;
seen.pushed = Object.keys(change.changed[accountId]);
events.close();
console.log(JSON.stringify(seen));
process.exit(0);
