// What a pair's packets told besides arriving: whether addresses are translated, how long a packet may be, which way loses.

import { h, percent } from "../dom.js";

// Sentences for one direction; `cells` are its paths.
export function facts(cells) {
  const known = cells.filter((cell) => cell.state === "measured" && cell.sent);
  if (!known.length) return [];
  return [translated(known), long(known), oneWay(known), hops(known)].filter(Boolean).map((text) => h("li", {}, text));
}

function translated(cells) {
  const seen = new Map();
  for (const cell of cells) if (cell.facts?.source) seen.set(`${cell.layer}: the other side sees ${cell.from.vantage} as ${cell.facts.source}`, cell);
  if (seen.size) return `Addresses are translated on the way (NAT), on layer ${[...seen.keys()].slice(0, 4).join("; ")}.`;
  return cells.some((cell) => ["udp", "http"].includes(cell.kind) && cell.layer === "pod" && cell.received) ? "No address is translated between the pods (no NAT)." : "";
}

// A path loses all of one length and not of a shorter one: that is where packets vanish.
function long(cells) {
  const said = [...new Set(cells.map((cell) => cell.facts?.mtu).filter(Boolean))].map((mtu) => ` A router on the way said that its next link carries ${mtu} bytes.`).join("");
  const asked = cells.filter((cell) => cell.packet_bytes), through = Math.max(0, ...asked.filter((cell) => cell.received).map((cell) => cell.packet_bytes));
  const stuck = [...new Set(asked.filter((cell) => !cell.received).map((cell) => cell.packet_bytes))].filter((bytes) => bytes > through);
  if (!asked.length) return said.trim();
  if (stuck.length) return `Packets of ${through} bytes get through, and of ${Math.min(...stuck)} bytes none does (MTU).${said}`;
  return `Packets of up to ${through} bytes get through (MTU).${said}`;
}

function oneWay(cells) {
  let there = 0, both = 0, sent = 0;
  for (const { measures = {}, sent: asked, received } of cells) {
    if (measures.through_sequence === undefined) continue;
    there += measures.forward_lost ?? 0;
    both += asked - received;
    sent += asked;
  }
  if (!sent || !both) return "";
  return `Of ${both} round trips that are lost, ${Math.min(there, both)} were lost on the way there and ${Math.max(0, both - there)} on the way back (${percent(both / sent)}, by sequence numbers).`;
}

function hops(cells) {
  const limits = [...new Set(cells.filter((cell) => cell.layer === "pod").map((cell) => cell.facts?.hop_limit).filter(Boolean))].map(Number);
  if (!limits.length) return "";
  const passed = [...new Set(limits.map((limit) => [64, 128, 255].find((first) => limit <= first) - limit))].sort((a, b) => a - b);
  return `Answers between the pods passed ${passed.join(" or ")} routers.`;
}
