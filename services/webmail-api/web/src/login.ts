import { el } from "./dom";
import { logIn } from "./jmap";

export function showLogin(root: HTMLElement, done: () => void): void {
  const problem = el("p", { class: "problem", role: "alert" });
  const address = el("input", { id: "address", name: "address", type: "email", required: true,
                                autocomplete: "username", autocapitalize: "none" });
  const password = el("input", { id: "password", name: "password", type: "password",
                                 required: true, autocomplete: "current-password" });
  const button = el("button", { type: "submit", class: "primary" }, "Log in");
  const submit = async (event: Event) => {
    event.preventDefault();
    problem.textContent = "";
    button.disabled = true;
    try {
      if (await logIn(address.value.trim(), password.value)) return done();
      problem.textContent = "The address or the password is wrong.";
      password.select();
    } catch (error) {
      problem.textContent = `Logging in did not work: ${(error as Error).message}`;
    } finally {
      button.disabled = false;
    }
  };
  root.replaceChildren(el("main", { class: "login" },
    el("form", { submit, "aria-labelledby": "login-title" },
      el("img", { src: "/favicon.svg", alt: "", width: 48, height: 48 }),
      el("h1", { id: "login-title" }, "Godwit"),
      el("label", { for: "address" }, "Address"), address,
      el("label", { for: "password" }, "Password"), password,
      problem, button)));
  document.title = "Log in – Godwit";
  address.focus();
}
