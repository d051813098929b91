// Expectations: what people declared, and whether it holds; those that do not hold first.

import { json } from "../ask.js";
import { h, number, table } from "../dom.js";
import { link } from "../route.js";
import { csv, save } from "../save.js";

const STATES = { True: ["✓", "ok", "holds"], False: ["✕", "bad", "does not hold"], Unknown: ["?", "quiet", "not known"] };
const ORDER = ["False", "Unknown", "True"];
const COUNTED = ["ok", "broken", "leak", "target_down", "degraded", "unverifiable", "unknown", "excluded"];

export function expectations() {
  let shown = [];
  const body = h("div", {}), summary = h("p", { role: "status" }), canaries = h("div", {});
  const tools = h("div", { class: "toolbar" }, summary, h("div", { class: "end" },
    h("button", { type: "button", onclick: () => save("netmatrix-expectations.csv", csv(["name", "kind", "expect", "severity", "owner", "state", ...COUNTED], shown.map((one) => [one.name, one.kind, one.expect, one.severity, one.owner, STATES[state(one)][2], ...COUNTED.map((word) => one.pairs[word] ?? 0)])), "text/csv") }, "CSV"),
    h("button", { type: "button", onclick: () => save("netmatrix-expectations.json", JSON.stringify(shown, null, 1), "application/json") }, "JSON")));
  const element = h("div", {}, h("h1", {}, "Expectations"), tools, body, canaries);

  function draw(told) {
    shown = told.expectations;
    canaries.replaceChildren(...enforced(told.canaries ?? []));
    shown.sort((a, b) => ORDER.indexOf(state(a)) - ORDER.indexOf(state(b)) || a.name.localeCompare(b.name));
    tools.hidden = !shown.length;
    if (!shown.length) {
      body.replaceChildren(h("p", { class: "quiet" }, "Nobody has declared any. What network policies say is compared with what is measured all the same; see ", h("a", { href: link("", { by: "namespace", measure: "verdict" }) }, "namespaces by verdict"), "."));
      return;
    }
    const count = (word) => shown.filter((one) => state(one) === word).length;
    summary.textContent = `${count("True")} of ${shown.length} hold${count("False") ? `, ${count("False")} do not` : ""}${count("Unknown") ? `, of ${count("Unknown")} it is not known` : ""}.`;
    const words = COUNTED.filter((word) => ["ok", "broken", "leak", "unverifiable", "unknown"].includes(word) || shown.some((one) => one.pairs?.[word]));
    body.replaceChildren(table("Declared expectations, those that do not hold first", ["State", "Name", "Expect", "Severity", "Owner", "Conditions", "Pairs", ...words], shown.map((one) => row(one, words))));
  }

  return {
    element,
    async ask() {
      const told = await json("expectations");
      return { draw: () => draw(told) };
    },
    refused: (error) => body.replaceChildren(h("p", { class: "notice" }, error.status === 404 ? "This collector does not know expectations." : error.message)),
  };
}

// Whether each node enforces policies at all, by a connection that should come through and one that should not.
function enforced(canaries) {
  if (!canaries.length) return [];
  const rows = [...canaries].sort((a, b) => a.ok - b.ok);
  return [h("h2", {}, "Whether policies are enforced"), table("Canaries, those that fail first", ["Node", "Test", "State"], rows.map((one) => {
    const [mark, tone, word] = STATES[one.ok ? "True" : "False"];
    return h("tr", {}, h("td", {}, one.node), h("td", {}, one.test), h("td", { class: tone }, h("span", { class: `mark ${tone}` }, mark), word));
  }))];
}

const state = (one) => (one.conditions ?? []).find((condition) => condition.type === "Satisfied")?.status ?? "Unknown";

function row(one, words) {
  const pairs = one.pairs ?? {}, all = Object.values(pairs).reduce((sum, count) => sum + count, 0), [mark, tone, word] = STATES[state(one)];
  const space = one.name.includes("/") ? one.name.split("/")[0] : "";
  return h("tr", {}, h("td", { class: tone }, h("span", { class: `mark ${tone}` }, mark), word), h("td", {}, one.name, space ? h("div", {}, h("a", { href: link("", { by: "vantage:target", to: `namespace/${space}`, table: "1" }), "aria-label": `Paths to namespace ${space}` }, "its paths")) : ""), h("td", {}, one.expect), h("td", {}, one.severity), h("td", {}, one.owner ?? ""),
    h("td", {}, (one.conditions ?? []).map((condition) => h("div", { class: condition.status === "True" ? "ok" : condition.status === "False" ? "bad" : "quiet" }, `${condition.type}: ${condition.status}${condition.message ? `, ${condition.message}` : ""}`))),
    number(all), ...words.map((name) => number(pairs[name] ?? 0)));
}
