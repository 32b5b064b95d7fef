// A browser reads and sends mail: Playwright drives the distribution's Chromium.
//
//   node page.mjs '{"url", "modules", "shots", "address", "password", "to", "subjects": [...]}'
//
// Prints one JSON object of what was seen; fails with a sentence.

import { createRequire } from "node:module";
import path from "node:path";

const given = JSON.parse(process.argv[2]);
const require = createRequire(path.join(given.modules, "index.js"));
const { chromium } = require("playwright-core");

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const context = await browser.newContext({
  ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, locale: "en-GB", timezoneId: "UTC",
});
const page = await context.newPage();
page.setDefaultTimeout(20000);
const seen = { console: [], requests: [], dialogs: [] };
page.on("console", (message) => {
  if (message.type() === "error") seen.console.push(message.text());
});
page.on("dialog", async (dialog) => {
  seen.dialogs.push(dialog.message());
  await dialog.dismiss();
});
// What goes elsewhere. Chromium tells of requests that a policy stopped, too.
page.on("requestfinished", (request) => {
  if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(given.url)) seen.requests.push(request.url());
});
page.on("requestfailed", (request) => {
  const why = request.failure().errorText;
  if (!request.url().startsWith(given.url) && why !== "csp") seen.requests.push(`${request.url()} ${why}`);
});
const shot = (name) => page.screenshot({ path: path.join(given.shots, `${name}.png`) });
const item = (subject) => page.locator(".list li", { hasText: subject });

try {
  await page.goto(given.url);
  await page.getByLabel("Password").waitFor();
  await shot("1-login");
  await page.getByLabel("Address").fill(given.address);
  await page.getByLabel("Password").fill("not this");
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await page.getByText("The address or the password is wrong.").waitFor();
  await page.getByLabel("Password").fill(given.password);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await item(given.subjects.html).waitFor();
  await page.waitForTimeout(300);
  await shot("2-list");
  seen.unread = await page.locator(".mailboxes button", { hasText: "Inbox" }).locator(".count").textContent();

  // A message with HTML: shown without running or fetching anything.
  await item(given.subjects.html).getByRole("button").click();
  const frame = page.frameLocator("iframe.html");
  await frame.getByText("Visible paragraph").waitFor();
  seen.html = await frame.locator("body").innerHTML();
  seen.colour = await frame.getByText("Visible paragraph").evaluate((node) => getComputedStyle(node).color);
  seen.note = await page.locator(".note").textContent();
  seen.scripted = await page.evaluate(() => window.scripted ?? null);
  seen.planted = await frame.locator(".planted").count();
  seen.link = await frame.getByRole("link").first().getAttribute("rel");
  seen.picture = await frame.getByAltText("ours").evaluate((img) => img.naturalWidth);
  const [download] = await Promise.all([
    page.waitForEvent("download"), page.locator(".attachments a", { hasText: "notes" }).click()]);
  seen.download = [download.suggestedFilename(), (await (await import("node:fs/promises")).readFile(await download.path())).toString()];
  await page.waitForTimeout(300);
  await shot("3-html");

  await item(given.subjects.text).getByRole("button").click();
  await page.locator(".reader pre").waitFor();
  seen.text = await page.locator(".reader pre").textContent();
  await shot("4-text");

  // A delivery shows up by itself.
  process.stderr.write("deliver\n");
  await item(given.subjects.pushed).waitFor({ timeout: 15000 });
  seen.pushed = true;

  // Writing.
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await page.getByLabel("To").fill("not an address");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByText("One of the addresses is not an address.").waitFor();
  await page.getByLabel("To").fill(given.to);
  await page.getByLabel("Subject").fill(given.subjects.sent);
  await page.getByLabel("Message", { exact: true }).last().fill("Written in the browser.\nGrüße");
  await shot("5-compose");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.locator("dialog").waitFor({ state: "detached" });
  await page.locator(".mailboxes button", { hasText: "Sent" }).click();
  await item(given.subjects.sent).waitFor();
  seen.sent = true;
  await page.locator(".mailboxes button", { hasText: "Drafts" }).click();
  await page.getByText("No messages.").waitFor();
  seen.draftsEmpty = true;

  // On a telephone.
  await page.setViewportSize({ width: 390, height: 780 });
  await page.locator(".list .back").click();
  await page.locator(".mailboxes button", { hasText: "Inbox" }).click();
  await item(given.subjects.text).waitFor();
  await shot("6-narrow-list");
  await item(given.subjects.text).getByRole("button").click();
  await page.locator(".reader pre").waitFor();
  await shot("7-narrow-message");
  seen.overflow = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);

  // Dark.
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.waitForTimeout(200);
  await shot("8-dark");

  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByText("Moved to Trash.").waitFor();
  await page.getByRole("button", { name: "Log out", exact: true }).click();
  await page.getByLabel("Password").waitFor();
  seen.loggedOut = (await page.request.get(`${given.url}/jmap/session`)).status();
  console.log(JSON.stringify(seen));
} catch (error) {
  await shot("failure").catch(() => {});
  console.error(`${error}\n${JSON.stringify(seen)}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
