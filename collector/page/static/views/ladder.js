// The ladder of a pair: layer by layer from the node's address up, and the first that fails, which is where to look.

import { h } from "../dom.js";
import { facts } from "./facts.js";

const RUNGS = [["host", "node address"], ["pod", "pod address"], ["mtu", "long packets"], ["service", "ClusterIP"], ["dns", "name server"], ["external", "outside"]];

// One for each direction that has paths; `paths` are those of `why`, both ways.
export function ladders(from, to, forth, back, paths) {
  const apart = new Map(paths.map((one) => [one.path, told(one)]).filter(([, word]) => word));
  return [[from, to, forth], [to, from, back]].filter(([, , cells]) => cells.length).flatMap(([one, other, cells]) => [h("section", {}, h("h2", {}, `Ladder, ${one} → ${other}`), rungs(cells, apart), h("ul", { class: "known", "aria-label": `What is known of ${one} → ${other}` }, facts(cells)))]);
}

// Why a path that loses everything fails nobody; empty where it does.
function told(path) {
  if (path.expected === "deny" && (path.verdict === "ok" || path.verdict === "unverifiable")) return "closed, as it should be";
  return path.verdict === "unknown" && (path.expected === "unspecified" || path.expected === "unknown") ? "open or closed, nobody says which it should be" : "";
}

function rungs(cells, apart) {
  let failing = false;
  return h("ol", { class: "ladder" }, RUNGS.map(([layer, words]) => {
    const all = cells.filter((cell) => cell.layer === layer), own = all.filter((cell) => !apart.has(cell.path)), known = own.filter((cell) => cell.state === "measured");
    if (!all.length) return h("li", { class: "none" }, h("span", { class: "mark quiet" }, ""), h("strong", {}, layer), h("span", { class: "quiet" }, `${words}: not probed between these two`));
    const sent = known.reduce((sum, cell) => sum + cell.sent, 0), received = known.reduce((sum, cell) => sum + cell.received, 0);
    const bad = sent > received, first = bad && !failing, counts = new Map();
    for (const cell of all) if (apart.has(cell.path)) counts.set(apart.get(cell.path), (counts.get(apart.get(cell.path)) ?? 0) + 1);
    failing ||= bad;
    const [mark, tone] = !own.length ? ["⊘", "ok"] : !known.length ? ["?", "quiet"] : bad ? ["✕", "bad"] : ["✓", "ok"];
    const measured = known.length ? `${sent - received} of ${sent} probes lost by ${[...new Set(known.map((cell) => cell.kind))].join(", ")}` : own.length ? own[0].because : "";
    const others = [...counts].map(([word, count]) => `${count} of ${all.length} paths ${word}`);
    const long = layer === "mtu" && known.length ? `${Math.max(...known.map((cell) => cell.packet_bytes ?? 0))} bytes` : "";
    return h("li", { class: first ? "first" : "" }, h("span", { class: `mark ${tone}` }, mark), h("strong", {}, layer),
      `${words}${long ? ` of ${long}` : ""}: ${[measured, ...others].filter(Boolean).join("; ")}${first ? ". This is the first layer that fails." : ""}`);
  }));
}
