// The matrix: two dimensions, a layer, a measure; from zones to nodes to a pair, and back.

import { json, picture } from "../ask.js";
import { Board } from "../board.js";
import { ago, choice, h, refusal, table } from "../dom.js";
import { isBad, LEVEL, looks, UNKNOWN } from "../palette.js";
import { choosing } from "../keep.js";
import { change, here, link } from "../route.js";
import { csv, save } from "../save.js";
import { worst } from "../sums.js";
import { behind } from "./hover.js";

const ROWS = [["zone", "zones"], ["node", "nodes"], ["namespace", "namespaces"], ["vantage", "vantages"]];
const COLUMNS = [...ROWS, ["service", "services"], ["target", "all targets"]];
const FINER = { zone: "node", namespace: "vantage" }, FINER_TARGET = { zone: "node", namespace: "target" }; // where a cell leads to
const LAYERS = [["", "all layers"], ["pod", "pod: pod to pod"], ["host", "host: node addresses"], ["service", "service: ClusterIPs"], ["dns", "dns: name servers"], ["external", "external: hosts outside"], ["mtu", "mtu: long packets"]];
const MEASURES = [["verdict", "verdict"], ["loss", "loss"], ["p50", "latency, median"], ["p99", "latency, p99"]];
const MOST_ROWS = 200; // of the table

export function matrix() {
  let shown = null, pending = 0, drawn = "";
  const board = new Board({ picked: (row, column) => drill(shown, row, column), pointed: (at) => point(at) });
  const crumbs = h("ol", { class: "crumbs", "aria-label": "Where this is" }), tools = h("div", { class: "toolbar" });
  const legend = h("ul", { class: "legend", "aria-label": "What the colours mean" }), words = h("div", { class: "quiet", role: "status" });
  const more = h("div", {});
  const element = h("div", {}, h("h1", {}, "Who reaches whom"), crumbs, tools, board.element, legend, words, more);

  async function ask(parameters) {
    const asked = { layer: "", measure: "verdict", ...parameters };
    const seen = await picture({ by: asked.by, layer: asked.layer, shade: asked.measure, from: asked.from, to: asked.to, span: asked.span });
    return { age: seen.age, draw: () => draw(seen, { ...asked, by: seen.by }) }; // where nothing is said, the collector groups so that it can be taken in
  }

  function draw(seen, asked) {
    shown = { ...seen, asked };
    board.element.hidden = false;
    board.show(shown);
    board.canvas.setAttribute("aria-describedby", "matrix-words");
    words.id = "matrix-words";
    words.textContent = summary(shown, board);
    toolbar(asked);
    trail(asked);
    key();
    more.replaceChildren(...(asked.table ? [asTable(shown, asked, board)] : []));
  }

  function toolbar(asked) {
    if (choosing(tools) && drawn === JSON.stringify(asked)) return;
    drawn = JSON.stringify(asked);
    const set = (name) => (value) => change({ [name]: value }), [rows, columns] = dimensions(asked.by);
    const known = (all, one) => (all.some(([value]) => value === one) ? all : [...all, [one, one]]);
    const regroup = (one, other) => change({ by: joined(one, other), from: "", to: "" });
    tools.replaceChildren(
      choice("Rows", rows, known(ROWS, rows), (value) => regroup(value, columns)),
      choice("Columns", columns, known(COLUMNS, columns), (value) => regroup(rows, value)),
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
    const named = `${plain(asked.from) || "everything"} → ${plain(asked.to) || "everything"}`;
    if (asked.from && asked.to) steps.push(h("a", { href: link("pair", { from: asked.from, to: asked.to }) }, named));
    else if (asked.from || asked.to) steps.push(named);
    else if (asked.by !== "zone") steps.push([...new Set(dimensions(asked.by))].map((one) => COLUMNS.find(([value]) => value === one)?.[1] ?? one).join(" to "));
    crumbs.replaceChildren(...steps.map((step) => h("li", {}, step)));
  }

  function key() {
    const table = looks(shown), listed = [...board.counts.keys()].filter((code) => code && board.counts[code]).slice(-14);
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
    const [from, to] = ends(shown, row, column), { asked } = shown; // another picture may be shown by the time it is asked
    pending = setTimeout(async () => {
      try {
        const lines = await behind({ asked, row, column, from, to, code });
        if (String(board.cursor) !== String(at)) return;
        board.tip.append(...lines);
        board.point(at);
      } catch { /* the word is there, the numbers come with the next look */ }
    }, 120);
  }

  return {
    element,
    ask,
    refused(error) {
      crumbs.replaceChildren(h("li", {}, h("a", { href: "#/" }, "all zones")));
      tools.replaceChildren();
      legend.replaceChildren();
      more.replaceChildren();
      board.element.hidden = true;
      const wrong = error.message.startsWith("to") ? "to" : "from", { parameters } = here();
      words.replaceChildren(refusal(error, parameters[wrong], (name) => link("", { ...parameters, [wrong]: name }), [h("a", { href: "#/" }, "Open the whole matrix"), "."]));
    },
  };
}

const plain = (name) => (name ?? "").replace(/^(zone|namespace)\//, "");

function dimensions(by) {
  const [rows, columns = rows] = by.split(":");
  return rows === "service" && columns === "service" ? ["node", "service"] : [rows, columns];
}

const joined = (rows, columns) => (rows === columns ? rows : `${rows}:${columns}`);

// What a row and a column are called in a question.
function ends(shown, row, column) {
  const [rows, columns] = dimensions(shown.by);
  const named = (dimension, word) => (dimension === "zone" || dimension === "namespace" ? `${dimension}/${word}` : word);
  return [named(rows, row), named(columns, column)];
}

// Into a cell: what is coarse is taken apart, until there are two ends.
function drill(shown, row, column) {
  const { asked } = shown, [from, to] = ends(shown, shown.rows[row], shown.columns[column]), [rows, columns] = dimensions(shown.by);
  if (!shown.codes[row * shown.columns.length + column]) return;
  if (FINER[rows] || FINER_TARGET[columns]) location.hash = link("", { ...asked, by: joined(FINER[rows] ?? rows, FINER_TARGET[columns] ?? columns), from, to });
  else location.hash = link("pair", { from, to, layer: asked.layer });
}

// The picture in a sentence.
function summary(shown, board) {
  const width = shown.columns.length, { counts } = board, table = looks(shown);
  const sum = (which) => counts.reduce((all, count, code) => all + (which(code) ? count : 0), 0);
  const known = sum((code) => code >= LEVEL), unknown = counts[UNKNOWN], bad = sum((code) => isBad(shown, code));
  const first = worst(shown, counts, 3, LEVEL).filter((at) => isBad(shown, shown.codes[at])).map((at) => `${shown.rows[Math.floor(at / width)]} → ${shown.columns[at % width]} (${table[shown.codes[at]].word})`);
  return `${shown.rows.length} by ${width}, ${known} pairs measured${unknown ? `, ${unknown} unknown` : ""}, ${shown.span_seconds ? `over ${ago(shown.span_seconds)}` : "by the last judgement"}. ` +
    (bad ? `${bad} with ${shown.measure === "loss" ? "loss" : "a fault"}, the worst: ${first.join(", ")}.` : known ? (shown.measure === "loss" ? "Nothing is lost." : shown.measure === "verdict" ? "Everything is as it should be." : "") : "Nothing is measured yet.");
}

function rowsOf(shown) {
  const table = looks(shown), rows = [];
  shown.codes.forEach((code, at) => code && rows.push([shown.rows[Math.floor(at / shown.columns.length)], shown.columns[at % shown.columns.length], table[code].word]));
  return [["from", "to", shown.measure], rows];
}

// The same as a table, the worst first, for those who do not see the picture, or want to read names.
function asTable(shown, asked, board) {
  const look = looks(shown), width = shown.columns.length, all = shown.codes.length - board.counts[0];
  const rows = worst(shown, board.counts, MOST_ROWS).map((at) => {
    const row = shown.rows[Math.floor(at / width)], column = shown.columns[at % width], [from, to] = ends(shown, row, column);
    return h("tr", {}, h("td", {}, row), h("td", {}, column), h("td", {}, `${look[shown.codes[at]].symbol} ${look[shown.codes[at]].word}`.trim()),
      h("td", {}, h("a", { href: link("pair", { from, to, layer: asked.layer }), "aria-label": `Open ${row} to ${column}` }, "open")));
  });
  const left = all - rows.length;
  return table(`Pairs, the worst first${left > 0 ? `; ${left} more are in the CSV` : ""}`, ["From", "To", asked.measure, ""], rows);
}
