// A pair: both directions, every layer, what should hold, which layer fails first, and its last minutes.

import { json, Refused } from "../ask.js";
import { ago, h, latency, number, percent, table } from "../dom.js";
import { chart } from "../chart.js";
import { link } from "../route.js";

const RUNGS = [["host", "node address"], ["pod", "pod address"], ["mtu", "long packets"], ["service", "ClusterIP"], ["dns", "name server"], ["external", "outside"]];
const TONES = { ok: "ok", degraded: "warn", broken: "bad", target_down: "bad", leak: "leak" };
const MOST_REASONS = 40;
const MARKS = { measured: "", unknown: "?", unsampled: "·", excluded: "–" };

export function pair() {
  const title = h("h1", {}), words = h("div", {}), ladder = h("div", {}), charts = h("div", {}), cells = h("div", {});
  const element = h("div", {}, h("ol", { class: "crumbs", "aria-label": "Where this is" }, h("li", {}, h("a", { href: "#/" }, "matrix")), h("li", {}, "pair")), title, words, ladder, charts, cells);

  async function refresh(asked) {
    const { from = "", to = "" } = asked;
    if (!from || !to) throw new Refused(400, "a pair needs from and to");
    title.textContent = `${from} ↔ ${to}`;
    const [found, why, past] = await Promise.all([json("pair", { from, to }), json("why", { from, to }).catch(() => null), json("history", { from, to }).catch(() => null)]);
    if (!found.cells.length) {
      for (const part of [ladder, charts, cells]) part.replaceChildren();
      words.replaceChildren(h("p", { class: "notice" }, `Nothing is probed between ${from} and ${to}. Names are those of nodes, vantages, pods, services and hosts; `, h("a", { href: link("", { by: "vantage:target", table: "1" }) }, "all there are"), "."));
      return;
    }
    const rank = (cell) => `${RUNGS.findIndex(([layer]) => layer === cell.layer)} ${cell.to.name} ${cell.kind} ${cell.family}`;
    found.cells.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
    const forth = found.cells.filter((cell) => matches(cell.from, from) && (matches(cell.to, to) || cell.to.name === to)), back = found.cells.filter((cell) => !forth.includes(cell));
    words.replaceChildren(...reasons(why));
    const apart = new Map((why?.paths ?? []).map((one) => [one.path, told(one)]).filter(([, word]) => word));
    ladder.replaceChildren(...(forth.length ? [h("h2", {}, `Ladder, ${from} → ${to}`), rungs(forth, apart)] : []), ...(back.length ? [h("h2", {}, `Ladder, ${to} → ${from}`), rungs(back, apart)] : []));
    charts.replaceChildren(...history(past));
    cells.replaceChildren(listed(`${from} → ${to}`, forth), ...(back.length ? [listed(`${to} → ${from}`, back)] : []));
  }

  return {
    element,
    refresh,
    refused(error) {
      title.textContent = "Not found";
      for (const part of [ladder, charts, cells]) part.replaceChildren();
      words.replaceChildren(h("p", { class: "notice" }, `${error.message}. `, h("a", { href: "#/" }, "Back to the matrix"), "."));
    },
  };
}

const matches = (end, name) => [end.vantage, end.node, end.pod, end.name, end.service, `${end.namespace}/${end.pod}`, `zone/${end.zone}`, `namespace/${end.namespace}`].includes(name);

// Why a path that loses everything fails nobody; empty where it does.
function told(path) {
  if (path.expected === "deny" && (path.verdict === "ok" || path.verdict === "unverifiable")) return "closed, as it should be";
  return path.verdict === "unknown" && (path.expected === "unspecified" || path.expected === "unknown") ? "open or closed, nobody says which it should be" : "";
}

// Layer by layer: the first that loses is where to look. What should be closed and is loses nothing.
function rungs(cells, apart) {
  let failing = false;
  return h("ol", { class: "ladder" }, RUNGS.map(([layer, words]) => {
    const all = cells.filter((cell) => cell.layer === layer), own = all.filter((cell) => !apart.has(cell.path)), known = own.filter((cell) => cell.state === "measured");
    if (!all.length) return null;
    const sent = known.reduce((sum, cell) => sum + cell.sent, 0), received = known.reduce((sum, cell) => sum + cell.received, 0);
    const bad = sent > received, first = bad && !failing, counts = new Map();
    for (const cell of all) if (apart.has(cell.path)) counts.set(apart.get(cell.path), (counts.get(apart.get(cell.path)) ?? 0) + 1);
    failing ||= bad;
    const [mark, tone] = !own.length ? ["⊘", "ok"] : !known.length ? ["?", "quiet"] : bad ? ["✕", "bad"] : ["✓", "ok"];
    const measured = known.length ? `${sent - received} of ${sent} probes lost by ${[...new Set(known.map((cell) => cell.kind))].join(", ")}` : own.length ? own[0].because : "";
    const others = [...counts].map(([word, count]) => `${count} of ${all.length} paths ${word}`);
    return h("li", { class: first ? "first" : "" }, h("span", { class: `mark ${tone}` }, mark), h("strong", {}, layer),
      `${words}: ${[measured, ...others].filter(Boolean).join("; ")}${first ? ". This is the first layer that fails." : ""}`);
  }));
}

// What should hold and why, path by path where they differ, and the incidents that have a part in it.
function reasons(why) {
  if (!why) return [];
  const told = new Map();
  for (const path of why.paths ?? []) {
    const key = `${path.from.vantage} → ${path.to.name}${path.port ? `:${path.port}` : ""} ${path.expected} ${path.verdict}`;
    const one = told.get(key) ?? { ...path, kinds: new Set() };
    one.kinds.add(path.kind);
    told.set(key, one);
  }
  const order = ["leak", "broken", "target_down", "degraded", "unverifiable", "unknown", "excluded", "ok"];
  const list = [...told.values()].sort((a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict)).slice(0, MOST_REASONS);
  return [
    ...(why.incidents ?? []).map((one) => h("p", {}, h("span", { class: "mark bad" }, "✕"), h("a", { href: link("incident", {}, [one.id]) }, one.sentence))),
    list.length ? table("What should hold, and whether it does", ["Path", "By", "Expected", "Seen", "Verdict", "Because"], list.map((one) => h("tr", {},
      h("td", {}, `${one.from.vantage} → ${one.to.name}${one.port ? `:${one.port}` : ""}`), h("td", {}, [...one.kinds].join(", ")), h("td", {}, `${one.expected} (${one.source})`), h("td", {}, one.observed),
      h("td", { class: TONES[one.verdict] ?? "quiet" }, one.expected === "deny" && one.verdict === "ok" ? "⊘ closed, as it should be" : one.verdict), h("td", {}, one.because)))) : "",
  ];
}

function history(past) {
  if (!past?.points?.length) return [];
  const times = past.points.map((point) => point.at);
  return [h("h2", {}, "The last hour"), h("div", { class: "charts" },
    chart("loss", times, past.points.map((point) => point.loss), percent),
    chart("median", times, past.points.map((point) => point.p50_us), latency),
    chart("p99", times, past.points.map((point) => point.p99_us), latency))];
}

function listed(caption, cells) {
  return table(caption, ["Layer", "Kind", "To", "Lost", "Probes", "Median", "p99", "Newest", "State"], cells.map((cell) => {
    const facts = Object.entries(cell.facts ?? {}).map(([name, text]) => `${name}: ${text}`).join(", ");
    const failed = Object.entries(cell.failed ?? {}).map(([word, count]) => `${count} ${word}`).join(", ");
    return h("tr", {}, h("td", {}, cell.layer), h("td", {}, `${cell.kind}${cell.packet_bytes ? ` ${cell.packet_bytes} B` : ""}${cell.question ? ` ${cell.question.record} ${cell.question.name}` : ""}`),
      h("td", {}, `${cell.to.name}${cell.to.port ? `:${cell.to.port}` : ""} ${cell.family === "ipv6" ? "IPv6" : ""}`), number(percent(cell.loss)), number(cell.sent), number(latency(cell.p50_us)), number(latency(cell.p99_us)),
      number(`${ago(cell.age_seconds)}`), h("td", {}, `${MARKS[cell.state] ?? ""} ${cell.verdict ?? cell.state}: ${cell.because}`.trim(), failed && h("div", { class: "bad" }, failed), facts && h("div", { class: "quiet" }, facts)));
  }));
}
