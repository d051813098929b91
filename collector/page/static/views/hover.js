// The numbers and the because behind one cell of the matrix.

import { json } from "../ask.js";
import { ago, h, latency, percent } from "../dom.js";
import { UNSAMPLED } from "../palette.js";

const ORDER = ["leak", "broken", "target_down", "degraded", "unverifiable", "unknown", "excluded", "ok"];

// Lines for the cell of `row` and `column`, whose ends are called `from` and `to`; none where nothing more is known.
export async function behind({ asked, row, column, from, to, code }) {
  if (code === UNSAMPLED) return last(from, to);
  const [found, why] = await Promise.all([json("matrix", { by: asked.by, layer: asked.layer, from, to, span: asked.span }), reason(asked, from, to)]);
  const cell = found.cells.find((one) => one.from === row && one.to === column);
  if (!cell) return why;
  return [h("div", {}, `${percent(cell.loss)} lost: ${cell.sent - cell.received} of ${cell.sent} probes in ${Math.round(found.span_seconds)} s`),
    h("div", {}, `median ${latency(cell.p50_us)}, p99 ${latency(cell.p99_us)}`), ...why,
    h("div", { class: "quiet" }, `${cell.cells} paths${cell.unknown ? `, ${cell.unknown} unknown` : ""}${cell.excluded ? `, ${cell.excluded} excluded` : ""}`)];
}

// What the worst path of it says of itself: by verdict, or by its losses. Where there are too many paths for that, nothing.
async function reason(asked, from, to) {
  try {
    if (asked.measure === "verdict" && !asked.by.includes("zone")) { // of two zones there may be more paths than are told why of
      const paths = (await json("why", { from, to })).paths.filter((one) => !asked.layer || one.layer === asked.layer);
      const worst = paths.sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict))[0];
      if (worst) return [because(`${worst.layer} ${worst.kind}, ${worst.verdict.replace("_", " ")}`, worst.because)];
    }
    const { cells: [worst] } = await json("worst", { k: 1, measure: asked.measure === "p99" ? "p99" : "loss", layer: asked.layer, from, to, span: asked.span });
    return worst ? [because(`${worst.layer} ${worst.kind}`, worst.because)] : [];
  } catch {
    return [];
  }
}

const because = (of, words) => h("div", { class: "because" }, `The worst path (${of}): ${words}.`);

async function last(from, to) {
  const cells = (await json("pair", { from, to })).cells.filter((cell) => cell.last).sort((a, b) => a.last.age_seconds - b.last.age_seconds);
  return cells.slice(0, 1).map(({ layer, kind, last: one }) => h("div", {}, `last result, ${layer} ${kind}, ${ago(one.age_seconds)} ago: ${one.lost} of ${one.sent} lost${one.latency_us ? `, ${latency(one.latency_us)}` : ""}`));
}
