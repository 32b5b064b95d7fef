// The HTML of a message, shown so that it can do nothing: sanitised, in a frame without scripts, whose
// policy lets it fetch nothing from anywhere.

import DOMPurify from "dompurify";
import { Email, Jmap } from "./jmap";

export interface Shown { frame: HTMLIFrameElement; blocked: number }

const REMOTE = /^\s*(https?:)?\/\//i;

// Pictures that came with the message, by their Content-ID.
async function picturesOf(jmap: Jmap, email: Email): Promise<Map<string, string>> {
  const pictures = new Map<string, string>();
  for (const part of email.attachments) {
    if (!part.cid || !part.blobId || !part.type.startsWith("image/") ||
        part.type.includes("svg")) continue;
    const response = await fetch(jmap.download(part.blobId, "picture", part.type));
    if (response.ok) pictures.set(part.cid, URL.createObjectURL(await response.blob()));
  }
  return pictures;
}

function sanitise(html: string, pictures: Map<string, string>): { clean: string; blocked: number } {
  let blocked = 0;
  // Styles without what they would fetch. The frame's policy fetches nothing anyway; this counts it.
  const local = (css: string) => css.replace(/@import[^;]*;?|url\s*\([^)]*\)/gi, (found) => {
    if (!/data:image\//i.test(found)) blocked++;
    return found.startsWith("@") ? "" : "none";
  });
  const purify = DOMPurify(window);
  purify.addHook("afterSanitizeAttributes", (node: Element) => {
    if (node.tagName === "A") {
      node.setAttribute("target", "_blank");
      node.setAttribute("rel", "noopener noreferrer");
    }
    const source = node.getAttribute("src");
    if (source !== null) {
      const picture = source.startsWith("cid:")
        ? pictures.get(decodeURIComponent(source.slice(4))) : undefined;
      if (picture) {
        node.setAttribute("src", picture);
      } else if (!source.startsWith("data:image/")) {
        if (REMOTE.test(source)) blocked++;
        node.removeAttribute("src");
      }
    }
    if (node.hasAttribute("srcset") || node.hasAttribute("background")) blocked++;
    node.removeAttribute("srcset");
    node.removeAttribute("background");
    const style = node.getAttribute("style");
    if (style !== null) node.setAttribute("style", local(style));
    if (node.tagName === "STYLE") node.textContent = local(node.textContent ?? "");
  });
  const clean = purify.sanitize(html, {
    USE_PROFILES: { html: true },
    FORCE_BODY: true,  // the styles of its head, too
    FORBID_TAGS: ["form", "input", "button", "select", "textarea", "option", "audio", "video",
                  "source", "track", "dialog"],
    FORBID_ATTR: ["id", "name", "ping", "action", "formaction", "autofocus", "tabindex"],
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|tel:|cid:|data:image\/(?:png|gif|jpe?g|webp|avif);)/i,
  });
  return { clean, blocked };
}

export async function showHtml(jmap: Jmap, email: Email, html: string): Promise<Shown> {
  const pictures = await picturesOf(jmap, email);
  const { clean, blocked } = sanitise(html, pictures);
  const frame = document.createElement("iframe");
  frame.title = "Message";
  frame.className = "html";
  // No allow-scripts: with allow-same-origin alone nothing in the frame runs, and we can fill it.
  frame.setAttribute("sandbox", "allow-same-origin allow-popups allow-popups-to-escape-sandbox");
  frame.src = "/frame.html";
  frame.addEventListener("load", () => {
    const inside = frame.contentDocument;
    if (!inside) return;
    // Read by the frame, under its policy: ours would take the styles away.
    inside.body.innerHTML = clean;
    const fit = () => { frame.style.height = `${inside.documentElement.scrollHeight + 4}px`; };
    new ResizeObserver(fit).observe(inside.body);
    fit();
  }, { once: true });
  return { frame, blocked };
}
