// Incidents: what is wrong, where, why and since when; those that are open, and those of up to thirty days.

import { json } from "../ask.js";
import { ago, choice, clock, h, number, percent, table } from "../dom.js";
import { choosing } from "../keep.js";
import { change, link } from "../route.js";
import { csv, save } from "../save.js";

const MARKS = { critical: "✕", warning: "!", info: "i" };
const STATES = { ok: ["✓", "ok"], degraded: ["!", "warn"], broken: ["✕", "bad"], unknown: ["?", "quiet"] };
const MOST_ON_TOP = 5;
const SPANS = [["24h", "the last day"], ["168h", "the last week"], ["720h", "the last thirty days"]];

// The line on top of every page.
export function sentences(place, told) {
  const [mark, tone] = STATES[told.state] ?? ["", ""];
  const open = newest(told.incidents ?? []);
  const words = { broken: "Broken", degraded: "Degraded" };
  place.hidden = !told.sentence;
  place.replaceChildren(h("p", { class: "sentence" }, h("span", { class: `mark ${tone}` }, mark), open.length ? `${words[told.state] ?? told.state}: ${open.length === 1 ? "one incident is" : `${open.length} incidents are`} open.` : told.sentence ?? ""),
    open.length ? h("ul", {}, open.slice(0, MOST_ON_TOP).map((one) => h("li", {}, mark_of(one), h("a", { href: link("incident", {}, [one.id]) }, one.sentence), h("span", { class: "quiet" }, ` for ${lasted(one)}`))),
      open.length > MOST_ON_TOP ? h("li", {}, h("a", { href: "#/incidents" }, `and ${open.length - MOST_ON_TOP} more`)) : null) : "");
}

const newest = (list) => [...list].sort((a, b) => (a.since < b.since ? 1 : -1));
const mark_of = (one) => h("span", { class: `mark ${one.effect === "leak" ? "leak" : one.severity === "critical" ? "bad" : "warn"}` }, MARKS[one.severity] ?? "");
const lasted = (one) => ago((Date.parse(one.closed ?? (one.cut_off ? one.seen : new Date().toISOString())) - Date.parse(one.since)) / 1000);

export function incidents() {
  let shown = null, drawn = "";
  const open = h("div", {}), tools = h("div", { class: "toolbar" }), past = h("div", {});
  const element = h("div", {}, h("h1", {}, "Incidents"), open, h("h2", {}, "Until now"), tools, past);

  async function ask({ span = "24h" }) {
    const [told, kept] = await Promise.all([json("incidents"), json("history/incidents", { since: span, k: 500 })]);
    return { draw: () => draw(span, told, kept) };
  }

  function draw(span, told, kept) {
    const over = kept.kept ? kept.incidents : (told.closed ?? []);
    shown = { told, kept, over };
    open.replaceChildren(told.incidents.length ? h("ul", { class: "cards" }, newest(told.incidents).map(card)) : h("p", { class: "quiet" }, "None is open."),
      told.pending?.length ? h("p", { class: "quiet" }, `${told.pending.length === 1 ? "One more is" : `${told.pending.length} more are`} looked at, and not yet sure: ${told.pending.map((one) => one.sentence).join(" ")}`) : "");
    toolbar(span, kept.kept);
    past.replaceChildren(...(kept.kept ? [] : [h("p", { class: "notice" }, "No history is kept: history.file is not configured. These are the last ones since the collector started.")]),
      ...outages(kept), over.length ? list(over, kept.more) : h("p", { class: "quiet" }, "None is known of that time."));
  }

  function toolbar(span, kept) {
    if (choosing(tools) && drawn === span) return;
    drawn = span;
    const choices = SPANS.some(([value]) => value === span) ? SPANS : [...SPANS, [span, span]];
    tools.replaceChildren(kept ? choice("Of", span, choices, (value) => change({ span: value })) : "", h("div", { class: "end" },
      h("button", { type: "button", onclick: () => save("netmatrix-incidents.csv", csv(FIELDS, shown.over.map((one) => FIELDS.map((name) => one[name]))), "text/csv") }, "CSV"),
      h("button", { type: "button", onclick: () => save("netmatrix-incidents.json", JSON.stringify({ open: shown.told.incidents, past: shown.over, outages: shown.kept.outages }, null, 1), "application/json") }, "JSON")));
  }

  return {
    element,
    ask,
    refused: (error) => past.replaceChildren(h("p", { class: "notice" }, `${error.message}. `, h("a", { href: "#/incidents" }, "Incidents of the last day"), ".")),
  };
}

const FIELDS = ["id", "since", "closed", "severity", "kind", "component", "layer", "direction", "effect", "sent", "lost", "sentence"];

function outages(kept) {
  if (!kept.outages?.length) return [];
  return [table("Outages: when something critical was open, the latest first", ["From", "Until", "For", "Causes"], kept.outages.map((one) => h("tr", {},
    h("td", {}, clock(one.start)), h("td", {}, one.end ? clock(one.end) : "still open"), number(lasted({ since: one.start, closed: one.end })),
    h("td", {}, one.causes.slice(0, 5).map((cause) => h("div", {}, h("a", { href: link("incident", { since: cause.since }, [cause.id]) }, cause.sentence))), one.causes.length > 5 ? h("div", { class: "quiet" }, `and ${one.causes.length - 5} more`) : ""))))];
}

function list(over, more) {
  return table(`Incidents, the latest first${more ? "; there are more in that time" : ""}`, ["What", "From", "Until", "For"], over.map((one) => h("tr", {},
    h("td", {}, mark_of(one), h("a", { href: link("incident", { since: one.since }, [one.id]) }, one.sentence)), h("td", {}, clock(one.since)), h("td", {}, ending(one)), number(lasted(one)))));
}

const ending = (one) => (one.closed ? clock(one.closed) : one.cut_off ? `unknown: the collector ended; last seen ${clock(one.seen)}` : "still open");

function card(one) {
  return h("li", { class: `card ${one.severity}` }, h("p", {}, mark_of(one), h("a", { href: link("incident", {}, [one.id]) }, one.sentence)), facts(one));
}

export function facts(one) {
  const list = [["since", clock(one.since)], ["kind", one.kind], ["where", one.component], ["layer", one.layer], ["direction", one.direction], ["effect", one.effect],
    ["lost", one.sent ? `${one.lost} of ${one.sent} (${percent(one.loss)})` : ""], ["witnesses", one.of_witnesses ? `${one.witnesses} of ${one.of_witnesses}` : ""], ["touches", one.paths ? `${one.paths} paths, ${one.nodes} nodes` : ""],
    ["owner", one.owner], ["expectation", one.expectation], ["phase", one.phase], ["alert", one.alert]];
  return h("dl", { class: "facts" }, list.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
