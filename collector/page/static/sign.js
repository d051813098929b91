// Signing in with a token, which is kept in memory and goes to the collector alone.

import { act, json, Refused, signed } from "./ask.js";
import { h } from "./dom.js";

const COMMAND = "kubectl -n netmatrix create token netmatrix-operator --audience=netmatrix-collector --duration=10m";

// What is on the right of the top line: nothing where the collector knows no sign-in.
export function signing(place, changed) {
  const field = h("input", { type: "password", autocomplete: "off", spellcheck: "false", "aria-label": "Token" });
  const said = h("p", { class: "bad", role: "alert" }), hint = h("p", { class: "quiet" });
  const enter = h("button", { type: "button", onclick: () => void submit() }, "Sign in");
  const box = h("dialog", { "aria-label": "Sign in" }, h("h2", {}, "Sign in"), hint, h("div", { class: "row" }, field, enter, h("button", { type: "button", onclick: () => box.close() }, "Cancel")), said);
  field.addEventListener("keydown", (event) => event.key === "Enter" && void submit());
  place.after(box);

  async function submit() {
    const token = field.value.trim();
    field.value = "";
    if (!token) return void (said.textContent = "Paste a token first.");
    enter.disabled = true;
    try {
      signed.user = (await act("signin", token, {})).user;
      signed.token = token;
      said.textContent = "";
      box.close();
      draw();
      changed();
    } catch (error) {
      said.textContent = `Not signed in: ${error.message}.`;
    } finally {
      enter.disabled = false;
    }
  }

  function open(why = "") {
    hint.replaceChildren(signed.tokens === "cluster" ? "A token for the collector, such as " : "A key of operators.key_file. ", signed.tokens === "cluster" ? h("code", {}, COMMAND) : "", " It is kept in the memory of this page and forgotten with it.");
    said.textContent = why;
    if (!box.open) box.showModal();
    field.focus();
  }

  function out(why = "") {
    signed.token = signed.user = "";
    draw();
    if (why) open(why);
    changed();
  }

  function draw() {
    place.replaceChildren(signed.mode === "off" ? "" : signed.token
      ? h("button", { type: "button", onclick: () => (signed.mode === "all" ? location.reload() : out()), title: signed.user }, "Sign out") // with all that was read
      : h("button", { type: "button", onclick: () => open() }, "Sign in"));
  }

  return {
    open,
    // Ask once whether there is a sign-in; an older collector has none.
    async ready() {
      try {
        const told = await json("signin");
        signed.mode = told.sign_in;
        signed.tokens = told.tokens;
      } catch (error) {
        if (!(error instanceof Refused) || error.status === 0) throw error;
      }
      draw();
    },
    // A token that was good and is not any more.
    refused(error) {
      if (error.status !== 401 || signed.mode !== "all") return;
      if (signed.token) out(`${error.message}.`);
      else if (!box.open && !box.hasAttribute("data-asked")) box.setAttribute("data-asked", ""), open();
    },
  };
}
