// Incidents: what is wrong, where, why and since when; the list, and one of them with its evidence.

import { json } from "../ask.js";
import { ago, h, number, percent, table } from "../dom.js";
import { link } from "../route.js";

const MARKS = { critical: "✕", warning: "!", info: "i" };
const STATES = { ok: ["✓", "ok"], degraded: ["!", "warn"], broken: ["✕", "bad"], unknown: ["?", "quiet"] };
const MOST_ON_TOP = 5;

// The line on top of every page.
export function sentences(place, told) {
  const [mark, tone] = STATES[told.state] ?? ["", ""];
  const open = told.incidents ?? [];
  const words = { broken: "Broken", degraded: "Degraded" };
  place.hidden = !told.sentence;
  place.replaceChildren(h("p", { class: "sentence" }, h("span", { class: `mark ${tone}` }, mark), open.length ? `${words[told.state] ?? told.state}: ${open.length === 1 ? "one incident is" : `${open.length} incidents are`} open.` : told.sentence ?? ""),
    open.length ? h("ul", {}, open.slice(0, MOST_ON_TOP).map((one) => h("li", {}, h("span", { class: `mark ${tones(one)}` }, MARKS[one.severity] ?? ""), h("a", { href: link("incident", {}, [one.id]) }, one.sentence), h("span", { class: "quiet" }, ` ${since(one)}`))),
      open.length > MOST_ON_TOP ? h("li", {}, h("a", { href: "#/incidents" }, `and ${open.length - MOST_ON_TOP} more`)) : null) : "");
}

const tones = (one) => (one.effect === "leak" ? "leak" : one.severity === "critical" ? "bad" : "warn");
const since = (one) => `for ${ago((Date.now() - Date.parse(one.since)) / 1000)}`;
const clock = (text) => (text ? new Date(text).toLocaleString() : "–");

export function incidents() {
  const open = h("div", {}), closed = h("div", {});
  const element = h("div", {}, h("h1", {}, "Incidents"), open, closed);
  return {
    element,
    async refresh() {
      const told = await json("incidents");
      open.replaceChildren(told.incidents.length ? h("ul", { class: "cards" }, told.incidents.map(card)) : h("p", { class: "quiet" }, "None is open."));
      closed.replaceChildren(...(told.closed?.length ? [h("h2", {}, "Over"), table("Incidents that are over, the latest first", ["What", "From", "Until"], told.closed.map((one) =>
        h("tr", {}, h("td", {}, h("a", { href: link("incident", {}, [one.id]) }, one.sentence)), h("td", {}, clock(one.since)), h("td", {}, clock(one.closed)))))] : []));
    },
    refused: (error) => open.replaceChildren(h("p", { class: "notice" }, error.message)),
  };
}

function card(one) {
  return h("li", { class: `card ${one.severity}` }, h("p", {}, h("span", { class: `mark ${tones(one)}` }, MARKS[one.severity] ?? ""), h("a", { href: link("incident", {}, [one.id]) }, one.sentence)), facts(one));
}

function facts(one) {
  const list = [["since", clock(one.since)], ["kind", one.kind], ["where", one.component], ["layer", one.layer], ["direction", one.direction], ["effect", one.effect],
    ["lost", one.sent ? `${one.lost} of ${one.sent} (${percent(one.loss)})` : ""], ["witnesses", one.of_witnesses ? `${one.witnesses} of ${one.of_witnesses}` : ""], ["touches", one.paths ? `${one.paths} paths, ${one.nodes} nodes` : ""],
    ["owner", one.owner], ["expectation", one.expectation], ["phase", one.phase], ["alert", one.alert]];
  return h("dl", { class: "facts" }, list.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function incident([id]) {
  const body = h("div", {});
  const element = h("div", {}, h("ol", { class: "crumbs", "aria-label": "Where this is" }, h("li", {}, h("a", { href: "#/incidents" }, "incidents")), h("li", {}, id)), body);
  return {
    element,
    async refresh() {
      const one = (await json("incident", { id })).incident;
      body.replaceChildren(h("h1", {}, one.sentence), facts(one),
        one.inhibited_by ? h("p", { class: "notice" }, "A wider incident explains this one: ", h("a", { href: link("incident", {}, [one.inhibited_by]) }, one.inhibited_by), ".") : "",
        h("h2", {}, "Timeline"), h("p", {}, `First seen ${clock(one.since)}, last seen ${clock(one.seen)}${one.closed ? `, over since ${clock(one.closed)}` : ", still open"}.`),
        h("h2", {}, "Evidence"), evidence(one.evidence ?? []), one.against ? h("p", {}, h("strong", {}, "What would speak against it: "), one.against) : "",
        one.runbook ? h("p", {}, h("strong", {}, "Runbook: "), /^https?:/.test(one.runbook) ? h("a", { href: one.runbook, rel: "noreferrer" }, one.runbook) : one.runbook) : "");
    },
    refused: (error) => body.replaceChildren(h("h1", {}, "There is no such incident"), h("p", { class: "notice" }, `${error.message}. `, h("a", { href: "#/incidents" }, "All incidents"), ".")),
  };
}

function evidence(found) {
  if (!found.length) return h("p", { class: "quiet" }, "No paths are kept of it.");
  return table("Paths that show it", ["From", "To", "Layer", "Kind", "Lost", "Probes", ""], found.map((one) =>
    h("tr", {}, h("td", {}, one.source), h("td", {}, one.target), h("td", {}, one.layer), h("td", {}, one.kind), number(one.lost), number(one.sent), h("td", {}, h("a", { href: link("pair", { from: one.source, to: one.target }), "aria-label": `Open ${one.source} to ${one.target}` }, "open")))));
}
