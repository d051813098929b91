// A pair: both directions, what should hold and by which rule, which layer fails first, its last hour, every path with its facts.

import { json, Refused } from "../ask.js";
import { ago, choice, h, latency, number, percent, refusal, table } from "../dom.js";
import { chart } from "../chart.js";
import { choosing } from "../keep.js";
import { change, here, link } from "../route.js";
import { csv, save } from "../save.js";
import { probe } from "./probe.js";
import { ladders } from "./ladder.js";

const TONES = { ok: "ok", degraded: "warn", broken: "bad", target_down: "bad", leak: "leak" };
const MOST_REASONS = 40;
const SOURCES = { none: "no rule is about it", declared: "declared", networkpolicy: "NetworkPolicy", cnp: "ClusterNetworkPolicy", tf: "trafficDistribution", history: "it was open for an hour" };
const MARKS = { measured: "", unknown: "?", unsampled: "·", excluded: "–" };
const SPANS = [["", "the last minute"], ["10s", "the last 10 s"], ["5m", "the last 5 min"]];
const FIELDS = ["direction", "layer", "kind", "family", "from", "to", "port", "state", "sent", "received", "loss", "p50_us", "p99_us", "age_seconds", "because"];

export function pair() {
  let shown = null, drawn = "";
  const crumbs = h("ol", { class: "crumbs", "aria-label": "Where this is" }), title = h("h1", {}), tools = h("div", { class: "toolbar" });
  const words = h("div", {}), ladder = h("div", { class: "two" }), charts = h("div", {}), cells = h("div", {}), now = probe();
  const element = h("div", {}, crumbs, title, tools, words, ladder, now.element, charts, cells);

  async function ask(asked) {
    const { from = "", to = "", span = "" } = asked;
    if (!from || !to) throw new Refused(400, "a pair needs from and to");
    const past = (one, other) => json("history", { from: one, to: other }).catch(() => null);
    const [found, why, forthPast, backPast] = await Promise.all([json("pair", { from, to, span }), json("why", { from, to }), past(from, to), past(to, from)]);
    const back = await json("why", { from: to, to: from });
    return { draw: () => draw(asked, found, why, back, forthPast, backPast) };
  }

  function draw(asked, found, why, back, forthPast, backPast) {
    const { from, to } = asked;
    trail(asked);
    title.textContent = `${from} ↔ ${to}`;
    now.element.hidden = !found.cells.length;
    if (!found.cells.length) return nothing(from, to);
    const forth = found.cells.filter((cell) => leads(cell, from, to)), others = found.cells.filter((cell) => !forth.includes(cell));
    shown = { from, to, found, why: { forth: why, back }, forth, back: others, history: { forth: forthPast, back: backPast } };
    toolbar(asked);
    words.replaceChildren(...incidents(why, back));
    ladder.replaceChildren(...ladders(from, to, forth, others, [...(why.paths ?? []), ...(back.paths ?? [])]));
    now.show({ from, to });
    charts.replaceChildren(...history(from, to, forthPast, backPast));
    cells.replaceChildren(h("h2", {}, "What should hold"), expected(why, back), h("h2", {}, "Every path"), listed(`${from} → ${to}`, forth), ...(others.length ? [listed(`${to} → ${from}`, others)] : []));
  }

  function trail({ from = "", to = "", layer = "", measure = "" }) {
    const zones = [from, to].every((name) => name.startsWith("zone/")), spaces = [from, to].every((name) => name.startsWith("namespace/"));
    const up = zones ? [["node by node", link("", { by: "node", from, to, layer, measure })]] : spaces ? [["namespaces", link("", { by: "namespace", layer, measure })]] : [["nodes", link("", { by: "node", layer, measure })]];
    crumbs.replaceChildren(...[["all zones", link("", { by: "zone", layer, measure })], ...up].map(([text, href]) => h("li", {}, h("a", { href }, text))), h("li", { "aria-current": "page" }, `${from} ↔ ${to}`));
  }

  function toolbar(asked) {
    const { span = "" } = asked;
    if (choosing(tools) && drawn === JSON.stringify(asked)) return;
    drawn = JSON.stringify(asked);
    const choices = SPANS.some(([value]) => value === span) ? SPANS : [...SPANS, [span, span]];
    tools.replaceChildren(choice("Over", span, choices, (value) => change({ span: value })), h("a", { class: "button", href: link("pair", { ...here().parameters, from: shown.to, to: shown.from }) }, "Turn around"), h("div", { class: "end" },
      h("button", { type: "button", onclick: () => save("netmatrix-pair.csv", csv(FIELDS, rowsOf(shown)), "text/csv") }, "CSV"),
      h("button", { type: "button", onclick: () => save("netmatrix-pair.json", JSON.stringify({ from: shown.from, to: shown.to, span_seconds: shown.found.span_seconds, cells: shown.found.cells, why: shown.why, history: shown.history }, null, 1), "application/json") }, "JSON"),
      h("button", { type: "button", onclick: async () => (await picture()) }, "PNG")));
  }

  // The charts are what there is of a picture here.
  async function picture() {
    const drawn = [...charts.querySelectorAll("canvas")];
    if (!drawn.length) return void tools.append(h("span", { class: "quiet", role: "status" }, "There is no chart to save: no history is kept."));
    const width = Math.max(...drawn.map((one) => one.width)), sheet = new OffscreenCanvas(width, drawn.reduce((sum, one) => sum + one.height + 34, 0)), pen = sheet.getContext("2d");
    pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ground");
    pen.fillRect(0, 0, sheet.width, sheet.height);
    pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--text");
    pen.font = "18px system-ui, sans-serif";
    drawn.reduce((y, one) => (pen.fillText(one.getAttribute("aria-label"), 4, y + 22), pen.drawImage(one, 0, y + 30), y + one.height + 34), 0);
    save("netmatrix-pair.png", await sheet.convertToBlob({ type: "image/png" }));
  }

  function nothing(from, to) {
    for (const part of [tools, ladder, charts, cells]) part.replaceChildren();
    words.replaceChildren(h("p", { class: "notice" }, `Nothing is probed between ${from} and ${to}. Names are those of nodes, vantages, pods, services and hosts; `, h("a", { href: link("", { by: "vantage:target", table: "1" }) }, "all there are"), "."), h("p", {}, "There are ", ...offered(), "."));
  }

  return {
    element,
    ask,
    refused(error) {
      title.textContent = "Not found";
      now.element.hidden = true;
      for (const part of [tools, ladder, charts, cells]) part.replaceChildren();
      const wrong = error.message.startsWith("to") ? "to" : "from", { parameters } = here();
      trail(parameters);
      words.replaceChildren(refusal(error, parameters[wrong], (name) => link("pair", { ...parameters, [wrong]: name }), [h("a", { href: "#/" }, "Back to the matrix"), "."]), h("p", {}, "There are ", ...offered(), "."));
    },
  };
}

const offered = () => [["node", "nodes"], ["zone", "zones"], ["namespace", "namespaces"], ["node:service", "services"]].flatMap(([by, word], at) => [at ? ", " : "", h("a", { href: link("", { by, table: "1" }) }, word)]);

const matches = (end, name) => [end.vantage, end.node, end.pod, end.name, end.service, end.address, `${end.namespace}/${end.pod}`, `zone/${end.zone}`, `namespace/${end.namespace}`].includes(name);
const leads = (cell, from, to) => matches(cell.from, from) && matches(cell.to, to);

function incidents(...both) {
  const found = new Map(both.flatMap((why) => why.incidents ?? []).map((one) => [one.id, one]));
  return [...found.values()].map((one) => h("p", {}, h("span", { class: "mark bad" }, "✕"), h("a", { href: link("incident", {}, [one.id]) }, one.sentence)));
}

// What should hold and by which rule, path by path where they differ.
function expected(...both) {
  const told = new Map();
  for (const path of both.flatMap((why) => why.paths ?? [])) {
    const key = `${path.from.vantage} → ${path.to.name}${path.port ? `:${path.port}` : ""} ${path.layer} ${path.expected} ${path.verdict}`;
    const one = told.get(key) ?? { ...path, kinds: new Set() };
    one.kinds.add(path.kind);
    told.set(key, one);
  }
  const order = ["leak", "broken", "target_down", "degraded", "unverifiable", "unknown", "excluded", "ok"];
  const all = [...told.values()].sort((a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict)), list = all.slice(0, MOST_REASONS);
  if (!list.length) return h("p", { class: "quiet" }, "Nothing is judged of it yet.");
  return table(`What should hold, by which rule, and whether it does${all.length > list.length ? `; ${list.length} of ${all.length}, the worst first` : ""}`, ["Path", "Layer", "By", "Expected", "Rule", "Seen", "Verdict", "Because"], list.map((one) => h("tr", {},
    h("td", {}, `${one.from.vantage} → ${one.to.name}${one.port ? `:${one.port}` : ""}`), h("td", {}, one.layer), h("td", {}, [...one.kinds].join(", ")), h("td", {}, one.expected), h("td", {}, SOURCES[one.source] ?? one.source), h("td", {}, one.observed),
    h("td", { class: TONES[one.verdict] ?? "quiet" }, one.expected === "deny" && one.verdict === "ok" ? "⊘ closed, as it should be" : one.verdict), h("td", {}, one.because))));
}

function history(from, to, forth, back) {
  if (!forth && !back) return [h("h2", {}, "The last hour"), h("p", { class: "quiet" }, "It is kept of two nodes, two zones or two namespaces.")];
  if (!(forth ?? back).kept) return [h("h2", {}, "The last hour"), h("p", { class: "quiet" }, "It is not kept: history.file is not configured.")];
  const both = [[`${from} → ${to}`, forth], [`${to} → ${from}`, back]].filter(([, past]) => past?.points?.length);
  if (!both.length) return [h("h2", {}, "The last hour"), h("p", { class: "quiet" }, "Nothing is kept of it yet: a point is written every minute.")];
  return both.flatMap(([name, { points }]) => {
    const times = points.map((point) => point.at);
    return [h("h2", {}, `The last hour, ${name}`), h("div", { class: "charts" },
      chart(`${name}: loss`, times, points.map((point) => point.loss), percent),
      chart(`${name}: median`, times, points.map((point) => point.p50_us), latency),
      chart(`${name}: p99`, times, points.map((point) => point.p99_us), latency))];
  });
}

function rowsOf({ forth, back }) {
  return [["forth", forth], ["back", back]].flatMap(([direction, list]) => list.map((cell) => {
    const values = { ...cell, direction, from: cell.from.vantage, to: cell.to.name, port: cell.to.port };
    return FIELDS.map((name) => values[name]);
  }));
}

// What is known of a path besides its numbers: who it came from, what was asked, whose fault it is, and an old result's age.
function more(cell) {
  const failed = Object.entries(cell.failed ?? {}).map(([word, count]) => `${count} ${word}`).join(", ");
  const facts = Object.entries(cell.facts ?? {}).map(([name, text]) => `${name}: ${text}`);
  const local = Object.entries(cell.local ?? {}).map(([word, count]) => `${count} not sent: ${word}`);
  const last = cell.last ? [`last result ${ago(cell.last.age_seconds)} ago: ${cell.last.lost} of ${cell.last.sent} lost${cell.last.latency_us ? `, ${latency(cell.last.latency_us)}` : ""}`] : [];
  const quiet = [...last, ...facts, ...local].join("; ");
  return [failed && h("div", { class: "bad" }, failed), quiet && h("div", { class: "quiet" }, quiet)];
}

function listed(caption, cells) {
  const order = ["host", "pod", "mtu", "service", "dns", "external"];
  const rank = (cell) => `${order.indexOf(cell.layer)} ${cell.to.name} ${cell.kind} ${cell.family}`;
  return table(caption, ["Layer", "Kind", "From", "To", "Lost", "Probes", "Median", "p99", "Newest", "State"], [...cells].sort((a, b) => (rank(a) < rank(b) ? -1 : 1)).map((cell) =>
    h("tr", {}, h("td", {}, cell.layer), h("td", {}, `${cell.kind}${cell.packet_bytes ? ` ${cell.packet_bytes} B` : ""}${cell.question ? ` ${cell.question.record} ${cell.question.name}` : ""}`), h("td", {}, cell.from.vantage),
      h("td", {}, `${cell.to.name}${cell.to.port ? `:${cell.to.port}` : ""} ${cell.family === "ipv6" ? "IPv6" : ""}`), number(percent(cell.loss)), number(cell.sent), number(latency(cell.p50_us)), number(latency(cell.p99_us)),
      number(cell.age_seconds === null ? "never" : `${ago(cell.age_seconds)} ago`), h("td", {}, `${MARKS[cell.state] ?? ""} ${cell.state}: ${cell.because}`.trim(), ...more(cell)))));
}
