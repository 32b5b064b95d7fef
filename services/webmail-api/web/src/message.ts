// The HTML of a message, shown so that it can do nothing: sanitised, in a frame without scripts, whose
// policy lets it fetch nothing from anywhere.

import DOMPurify from "dompurify";
import { Email, Jmap } from "./jmap";

export interface Shown { frame: HTMLIFrameElement; blocked: number }

const REMOTE = /^\s*(https?:)?\/\//i;

// Of the pictures of one message; the rest is not shown.
const MAX_PICTURES = 50;
const MAX_PICTURE_BYTES = 20 * 1024 * 1024;

// Of the message that is shown: the browser keeps what they name until it is told.
let pictureUrls: string[] = [];

// Pictures that came with the message, by their Content-ID.
async function picturesOf(jmap: Jmap, email: Email): Promise<Map<string, string>> {
  pictureUrls.forEach((url) => URL.revokeObjectURL(url));
  pictureUrls = [];
  const pictures = new Map<string, string>();
  let left = MAX_PICTURE_BYTES;
  const wanted = email.attachments.filter((part) => part.cid && part.blobId &&
    part.type.startsWith("image/") && !part.type.includes("svg"))
    .slice(0, MAX_PICTURES).filter((part) => (left -= part.size) >= 0);
  await Promise.all(wanted.map(async (part) => {
    try {
      const response = await fetch(jmap.download(part.blobId!, "picture", part.type));
      if (!response.ok) return;
      const url = URL.createObjectURL(await response.blob());
      pictureUrls.push(url);
      pictures.set(part.cid!, url);
    } catch { /* the message is shown without it */ }
  }));
  return pictures;
}

// RFC 2392: the Content-ID of a "cid:" URL. What a sender wrote may be no encoding at all.
function contentId(url: string): string {
  const encoded = url.slice("cid:".length);
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

function sanitise(html: string, pictures: Map<string, string>): { clean: string; blocked: number } {
  let blocked = 0;
  // Styles without what they would fetch. The frame's policy fetches nothing anyway; this counts it.
  const local = (css: string) => css.replace(/@import[^;]*;?|url\s*\([^)]*\)/gi, (found) => {
    if (!/data:image\//i.test(found)) blocked++;
    return found.startsWith("@") ? " " : " none ";
  });
  const purify = DOMPurify(window);
  // Before DOMPurify's own look at the text, and never joining what stood on both sides: "<@import;/style>"
  // must not become the end of the style, with tags of the sender's behind it.
  purify.addHook("uponSanitizeElement", (node: Node) => {
    if (node.nodeName === "STYLE") node.textContent = local(node.textContent ?? "");
  });
  purify.addHook("afterSanitizeAttributes", (node: Element) => {
    if (node.tagName === "A") {
      node.setAttribute("target", "_blank");
      node.setAttribute("rel", "noopener noreferrer");
    }
    const source = node.getAttribute("src");
    if (source !== null) {
      const picture = source.startsWith("cid:")
        ? pictures.get(contentId(source)) : undefined;
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
