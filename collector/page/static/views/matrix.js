// The matrix: two dimensions, a layer, a measure; from zones to nodes to a pair, and back.

import { json, picture } from "../ask.js";
import { Board } from "../board.js";
import { ago, choice, h, latency, percent, table } from "../dom.js";
import { isBad, LEVEL, looks, UNKNOWN } from "../palette.js";
import { change, here, link } from "../route.js";
import { csv, save } from "../save.js";

const BY = [["zone", "zones"], ["node", "nodes"], ["namespace", "namespaces"], ["node:service", "nodes to services"], ["vantage:target", "vantages to all targets"]];
const LAYERS = [["", "all layers"], ["pod", "pod: pod to pod"], ["host", "host: node addresses"], ["service", "service: ClusterIPs"], ["dns", "dns: name servers"], ["external", "external: hosts outside"], ["mtu", "mtu: long packets"]];
const MEASURES = [["verdict", "verdict"], ["loss", "loss"], ["p50", "latency, median"], ["p99", "latency, p99"]];
const MOST_NODES = 1000; // above, a page opens grouped by zone
const MOST_ROWS = 200; // of the table

export function matrix() {
  let shown = null, pending = 0;
  const board = new Board({ picked: (row, column) => drill(shown, row, column), pointed: (at) => point(at) });
  const crumbs = h("ol", { class: "crumbs", "aria-label": "Where this is" }), tools = h("div", { class: "toolbar" });
  const legend = h("ul", { class: "legend", "aria-label": "What the colours mean" }), words = h("p", { class: "quiet", role: "status" });
  const more = h("div", {});
  const element = h("div", {}, h("h1", {}, "Who reaches whom"), crumbs, tools, board.element, legend, words, more);

  async function refresh(parameters) {
    const asked = await settled(parameters);
    shown = await picture({ by: asked.by, layer: asked.layer, shade: asked.measure, from: asked.from, to: asked.to, span: asked.span });
    shown.asked = asked;
    paint(asked);
  }

  // What is asked for, with what a first look should be: nodes where that can be taken in, else zones.
  async function settled(parameters) {
    const by = BY.some(([value]) => value === parameters.by) || !parameters.by ? parameters.by : parameters.by;
    return { layer: "", measure: "verdict", ...parameters, by: by || (await usual()) };
  }

  function paint(asked) {
    board.show(shown);
    board.canvas.setAttribute("aria-describedby", "matrix-words");
    words.id = "matrix-words";
    words.textContent = summary(shown);
    toolbar(asked);
    trail(asked);
    key();
    more.replaceChildren(...(asked.table ? [asTable(shown, asked)] : []));
  }

  function toolbar(asked) {
    if (tools.contains(document.activeElement)) return; // somebody chooses just now
    const set = (name) => (value) => change({ [name]: value });
    tools.replaceChildren(
      choice("Group by", asked.by, BY.some(([value]) => value === asked.by) ? BY : [...BY, [asked.by, asked.by]], (value) => change({ by: value, from: "", to: "" })),
      choice("Layer", asked.layer, LAYERS, set("layer")),
      choice("Measure", asked.measure, MEASURES, set("measure")),
      asked.measure === "verdict" ? "" : choice("Over", asked.span ?? "", [["", "the last minute"], ["10s", "the last 10 s"], ["5m", "the last 5 min"]], set("span")),
      h("div", { class: "end" },
        h("button", { type: "button", "aria-pressed": Boolean(asked.table), onclick: () => change({ table: asked.table ? "" : "1" }) }, "Table"),
        h("button", { type: "button", onclick: () => save("netmatrix.csv", csv(...rowsOf(shown)), "text/csv") }, "CSV"),
        h("button", { type: "button", onclick: exportJson }, "JSON"),
        h("button", { type: "button", onclick: async () => save("netmatrix.png", await board.png()) }, "PNG")));
  }

  async function exportJson() {
    const { asked } = shown;
    save("netmatrix.json", JSON.stringify(await json("matrix", { by: asked.by, layer: asked.layer, from: asked.from, to: asked.to, span: asked.span }), null, 1), "application/json");
  }

  function trail(asked) {
    const steps = [h("a", { href: link("", { by: "zone", layer: asked.layer, measure: asked.measure }) }, "all zones")];
    if (asked.from || asked.to) steps.push(`${plain(asked.from) || "everything"} → ${plain(asked.to) || "everything"}`);
    else if (asked.by !== "zone") steps.push(BY.find(([value]) => value === asked.by)?.[1] ?? asked.by);
    crumbs.replaceChildren(...steps.map((step) => h("li", {}, step)));
  }

  function key() {
    const table = looks(shown), codes = [...new Set(shown.codes)].sort((a, b) => a - b);
    const listed = codes.filter((code) => code).slice(-14);
    legend.replaceChildren(...listed.map((code) => {
      const sample = h("canvas", { width: 16, height: 16, "aria-hidden": "true" }), pen = sample.getContext("2d");
      pen.fillStyle = table[code].colour;
      pen.fillRect(0, 0, 16, 16);
      return h("li", {}, sample, `${table[code].symbol} ${table[code].word}`.trim());
    }));
  }

  // The numbers behind what is pointed at, once the pointer rests.
  function point(at) {
    clearTimeout(pending);
    if (!at) return;
    const row = shown.rows[at[0]], column = shown.columns[at[1]];
    const code = shown.codes[at[0] * shown.columns.length + at[1]];
    board.tip.replaceChildren(h("strong", {}, `${row} → ${column}`), looks(shown)[code].word);
    if (!code) return;
    pending = setTimeout(async () => {
      try {
        const { asked } = shown, [from, to] = ends(shown, row, column);
        const found = await json("matrix", { by: asked.by, layer: asked.layer, from, to, span: asked.span });
        const cell = found.cells.find((one) => one.from === row && one.to === column);
        if (!cell || String(board.cursor) !== String(at)) return;
        board.tip.append(h("div", {}, `${percent(cell.loss)} lost: ${cell.sent - cell.received} of ${cell.sent} probes in ${Math.round(found.span_seconds)} s`),
          h("div", {}, `median ${latency(cell.p50_us)}, p99 ${latency(cell.p99_us)}`),
          h("div", { class: "quiet" }, `${cell.cells} paths${cell.unknown ? `, ${cell.unknown} unknown` : ""}`));
        board.point(at);
      } catch { /* the word is there, the numbers come with the next look */ }
    }, 120);
  }

  return {
    element,
    refresh,
    refused(error) {
      crumbs.replaceChildren(h("li", {}, h("a", { href: "#/" }, "all zones")));
      tools.replaceChildren();
      legend.replaceChildren();
      more.replaceChildren();
      board.element.hidden = true;
      words.replaceChildren(h("span", { class: "notice" }, `${error.message}. `, h("a", { href: "#/" }, "Open the whole matrix"), "."));
    },
  };
}

let nodes = null;

async function usual() {
  if (nodes === null) nodes = new Set((await json("agents")).agents.map((agent) => agent.node)).size;
  return nodes > MOST_NODES ? "zone" : "node";
}

const plain = (name) => (name ?? "").replace(/^(zone|namespace)\//, "");

// What a row and a column are called in a question.
function ends(shown, row, column) {
  const [rows, columns = rows] = shown.by.split(":");
  const named = (dimension, word) => (dimension === "zone" || dimension === "namespace" ? `${dimension}/${word}` : word);
  return [named(rows, row), named(columns, column)];
}

function drill(shown, row, column) {
  const { asked } = shown, [from, to] = ends(shown, shown.rows[row], shown.columns[column]);
  if (!shown.codes[row * shown.columns.length + column]) return;
  if (asked.by === "zone") location.hash = link("", { ...asked, by: "node", from, to });
  else if (asked.by === "namespace") location.hash = link("", { ...asked, by: "vantage:target", from, to });
  else location.hash = link("pair", { from, to, layer: asked.layer });
}

function summary(shown) {
  const bad = [];
  const width = shown.columns.length;
  let known = 0, unknown = 0, worst = 0;
  shown.codes.forEach((code, at) => {
    if (code >= LEVEL) known++;
    if (code === UNKNOWN) unknown++;
    if (code > worst) worst = code;
    if (isBad(shown, code)) bad.push(at);
  });
  const table = looks(shown);
  const first = bad.sort((a, b) => shown.codes[b] - shown.codes[a]).slice(0, 3).map((at) => `${shown.rows[Math.floor(at / width)]} → ${shown.columns[at % width]} (${table[shown.codes[at]].word})`);
  return `${shown.rows.length} by ${width}, ${known} pairs measured${unknown ? `, ${unknown} unknown` : ""}, ${shown.span_seconds ? `over ${ago(shown.span_seconds)}` : "by the last judgement"}. ` +
    (bad.length ? `${bad.length} with ${shown.measure === "loss" ? "loss" : "a fault"}, the worst: ${first.join(", ")}.` : known ? (shown.measure === "loss" ? "Nothing is lost." : shown.measure === "verdict" ? "Everything is as it should be." : "") : "Nothing is measured yet.");
}

function rowsOf(shown) {
  const table = looks(shown), rows = [];
  shown.codes.forEach((code, at) => code && rows.push([shown.rows[Math.floor(at / shown.columns.length)], shown.columns[at % shown.columns.length], table[code].word]));
  return [["from", "to", shown.measure], rows];
}

// The same as a table, the worst first, for those who do not see the picture, or want to read names.
function asTable(shown, asked) {
  const look = looks(shown), width = shown.columns.length;
  const order = [...shown.codes.keys()].filter((at) => shown.codes[at]).sort((a, b) => shown.codes[b] - shown.codes[a]);
  const rows = order.slice(0, MOST_ROWS).map((at) => {
    const row = shown.rows[Math.floor(at / width)], column = shown.columns[at % width], [from, to] = ends(shown, row, column);
    return h("tr", {}, h("td", {}, row), h("td", {}, column), h("td", {}, `${look[shown.codes[at]].symbol} ${look[shown.codes[at]].word}`.trim()),
      h("td", {}, h("a", { href: link("pair", { from, to, layer: asked.layer }), "aria-label": `Open ${row} to ${column}` }, "open")));
  });
  const left = order.length - rows.length;
  return table(`Pairs, the worst first${left > 0 ? `; ${left} more are in the CSV` : ""}`, ["From", "To", asked.measure, ""], rows);
}

