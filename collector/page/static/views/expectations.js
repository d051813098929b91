// Expectations: what people declared, and whether it holds.

import { json } from "../ask.js";
import { h, number, table } from "../dom.js";

export function expectations() {
  const body = h("div", {});
  const element = h("div", {}, h("h1", {}, "Expectations"), body);
  return {
    element,
    async refresh() {
      const told = await json("expectations");
      if (!told.expectations.length) {
        body.replaceChildren(h("p", { class: "quiet" }, "Nobody has declared any. What network policies say is compared with what is measured all the same; see the matrix by verdict."));
        return;
      }
      body.replaceChildren(table("Declared expectations", ["Name", "Expect", "Severity", "Owner", "Conditions", "Pairs", "Ok", "Broken", "Leaking", "Unverified", "Unknown"], told.expectations.map(row)));
    },
    refused: (error) => body.replaceChildren(h("p", { class: "notice" }, error.status === 404 ? "This collector does not know expectations." : error.message)),
  };
}

function row(one) {
  const pairs = one.pairs ?? {}, all = Object.values(pairs).reduce((sum, count) => sum + count, 0);
  return h("tr", {}, h("td", {}, one.name), h("td", {}, one.expect), h("td", {}, one.severity), h("td", {}, one.owner ?? ""),
    h("td", {}, (one.conditions ?? []).map((condition) => h("div", { class: condition.status === "True" ? "ok" : condition.status === "False" ? "bad" : "quiet" }, `${condition.type}: ${condition.status}${condition.message ? `, ${condition.message}` : ""}`))),
    number(all), ...["ok", "broken", "leak", "unverifiable", "unknown"].map((name) => number(pairs[name] ?? 0)));
}
