// One incident: what it is, what happened when, which paths it affects and show it, what would speak against it, what to do.

import { json } from "../ask.js";
import { clock, h, number, percent, table } from "../dom.js";
import { here, link } from "../route.js";
import { save } from "../save.js";
import { facts } from "./incidents.js";

const TONES = { fired: "bad", "seen again": "bad", resolved: "ok", "notification refused": "warn" };

export function incident([id]) {
  const body = h("div", {});
  const element = h("div", {}, h("ol", { class: "crumbs", "aria-label": "Where this is" }, h("li", {}, h("a", { href: "#/incidents" }, "incidents")), h("li", {}, id)), body);

  function draw(one, others) {
    body.replaceChildren(h("h1", {}, one.sentence), facts(one),
      one.inhibited_by ? h("p", { class: "notice" }, "A wider incident explains this one: ", h("a", { href: link("incident", {}, [one.inhibited_by]) }, one.inhibited_by), ".") : "",
      h("h2", {}, "What to do"), runbook(one), h("p", {}, "Its paths in ", h("a", { href: matrix(one) }, "the matrix"), ", as ", h("button", { type: "button", onclick: () => save(`netmatrix-incident-${id}.json`, JSON.stringify(one, null, 1), "application/json") }, "JSON"), "."),
      h("h2", {}, "Timeline"), timeline(one),
      ...(others.length ? [h("h2", {}, "The same before and after"), again(others)] : []),
      h("h2", {}, "Affected paths"), paths(one),
      h("h2", {}, "Evidence"), h("p", {}, one.sent ? `${one.lost} of ${one.sent} probes are lost (${percent(one.loss)}); ${one.witnesses} of ${one.of_witnesses} places that look at it see that.` : "Nothing is counted of it."),
      one.against ? h("p", {}, h("strong", {}, "What would speak against it: "), one.against) : "");
  }

  return {
    element,
    async ask({ since = "" }) {
      const { incident: one, others = [] } = await json("incident", { id, since });
      return { draw: () => draw(one, others) };
    },
    refused: (error) => body.replaceChildren(h("h1", {}, "There is no such incident"), h("p", { class: "notice" }, `${error.message}. `, h("a", { href: "#/incidents" }, "All incidents"), ".")),
  };
}

// A scheme that is none of the web's is text.
function runbook(one) {
  if (!one.runbook) return h("p", { class: "quiet" }, "There is no runbook.");
  return h("p", {}, h("strong", {}, "Runbook: "), /^(https?:|docs\/runbooks\/\w+$)/.test(one.runbook) ? h("a", { href: one.runbook, rel: "noreferrer" }, one.runbook) : one.runbook);
}

// What the matrix should show of it: between zones or namespaces where it is about two of them, else node by node.
function matrix(one) {
  const [from, to] = one.component.includes(">") ? one.component.split(">", 2) : ["", ""];
  if (one.kind === "zone_pair") return link("", { by: "node", from: `zone/${from}`, to: `zone/${to}` });
  if (one.src_namespace && one.dst_namespace) return link("", { by: "namespace" });
  return link("", { by: ["service", "dns", "external"].includes(one.kind) ? "vantage:target" : "node", measure: "loss" });
}

function timeline(one) {
  const steps = one.timeline ?? [];
  if (!steps.length) return h("p", {}, `First seen ${clock(one.since)}, last seen ${clock(one.seen)}${one.closed ? `, over since ${clock(one.closed)}` : ", still open"}.`);
  const end = one.closed ? "" : one.cut_off ? `Nobody saw its end: the collector ended; it was last seen ${clock(one.seen)}.` : `Still open; last seen ${clock(one.seen)}.`;
  return h("div", {}, h("ol", { class: "timeline", "aria-label": "What happened, the oldest first" }, steps.map((step) => h("li", {},
    h("time", { datetime: step.at }, clock(step.at)), h("strong", { class: TONES[step.what] ?? "" }, step.what),
    step.what === "explained by a wider one" ? h("a", { href: link("incident", {}, [step.words]) }, step.words) : h("span", { class: "quiet" }, step.words)))),
    end && h("p", { class: "quiet" }, end));
}

// An id says what an incident is about, so that one that comes again has the same.
function again(others) {
  return table("When it was open at other times, the latest first", ["From", "Until", "What"], others.map((other) => h("tr", {}, h("td", {}, clock(other.since)),
    h("td", {}, other.closed ? clock(other.closed) : other.cut_off ? `unknown; last seen ${clock(other.seen)}` : "still open"), h("td", {}, h("a", { href: link("incident", { since: other.since }, [here().words[0]]) }, other.sentence)))));
}

function paths(one) {
  const found = one.evidence ?? [];
  if (!found.length) return h("p", { class: "quiet" }, "No paths are kept of it.");
  const most = one.paths > found.length ? `; ${found.length} of ${one.paths}` : "";
  return table(`Paths that show it, the worst first${most}`, ["From", "To", "Layer", "Kind", "Lost", "Probes", ""], found.map((path) =>
    h("tr", {}, h("td", {}, path.source), h("td", {}, path.target), h("td", {}, path.layer), h("td", {}, `${path.kind}${path.family === "ipv6" ? " IPv6" : ""}`), number(path.lost), number(path.sent),
      h("td", {}, h("a", { href: link("pair", { from: path.source, to: path.target }), "aria-label": `Open ${path.source} to ${path.target}` }, "open")))));
}
