// Making elements without markup in strings: text is always text.

type Child = Node | string | null | undefined | false;
type Props = Record<string, string | number | boolean | ((event: any) => void) | undefined>;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") {
      node.addEventListener(name, value as EventListener);
    } else if (typeof value === "boolean") {
      node.toggleAttribute(name, value);
    } else if (value !== undefined) {
      node.setAttribute(name, String(value));
    }
  }
  for (const child of children) {
    if (child) node.append(child);
  }
  return node;
}

// Told to whoever can not see it, too; goes away by itself.
let timer: number | undefined;
export function say(text: string): void {
  const status = document.getElementById("status")!;
  status.textContent = text;
  clearTimeout(timer);
  timer = window.setTimeout(() => { status.textContent = ""; }, 6000);
}

export function size(octets: number): string {
  if (octets < 1024) return `${octets} B`;
  if (octets < 1024 * 1024) return `${Math.round(octets / 1024)} KB`;
  return `${(octets / 1024 / 1024).toFixed(1)} MB`;
}

export function shortDate(text: string): string {
  const date = new Date(text);
  const now = new Date();
  if (date.toDateString() === now.toDateString()) {
    return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString([], { day: "numeric", month: "short", year });
}

export function longDate(text: string): string {
  return new Date(text).toLocaleString([], { dateStyle: "full", timeStyle: "short" });
}
