// Agents: who reports, how long ago, and how they feel.

import { json } from "../ask.js";
import { ago, h, number, table } from "../dom.js";

const MARKS = { reporting: ["✓", "ok"], leaving: ["→", "quiet"], silent: ["?", "bad"], never: ["?", "quiet"] };
const ORDER = ["silent", "never", "leaving", "reporting"];

export function agents() {
  const body = h("div", {});

  function draw(all) {
    all.sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.vantage.localeCompare(b.vantage, undefined, { numeric: true }));
    const reporting = all.filter((one) => one.state === "reporting").length;
    body.replaceChildren(h("p", {}, `${reporting} of ${all.length} report.`), table("Agents and vantages, those that say nothing first", ["Vantage", "Node", "State", "Last report", "Gaps", "Loop lag p99", "CPU", "Memory"], all.map((one) => {
      const [mark, tone] = MARKS[one.state] ?? ["", ""], health = one.health;
      return h("tr", {}, h("td", {}, one.vantage), h("td", {}, one.node), h("td", {}, h("span", { class: `mark ${tone}` }, mark), one.state), number(one.age_seconds === null ? "never" : `${ago(one.age_seconds)} ago`), number(one.gaps),
        number(health ? `${(health.loop_lag_p99_ns / 1e6).toFixed(1)} ms` : "–"), number(health ? `${(health.cpu_ns / 1e9).toFixed(1)} s` : "–"), number(health ? `${(health.resident_bytes / 2 ** 20).toFixed(0)} MiB` : "–"));
    })));
  }

  return {
    element: h("div", {}, h("h1", {}, "Agents"), body),
    async ask() {
      const { agents } = await json("agents");
      return { draw: () => draw(agents) };
    },
    refused: (error) => body.replaceChildren(h("p", { class: "notice" }, error.message)),
  };
}
