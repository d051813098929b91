// "Probe now": has the planned paths between two names probed, by whoever signed in, and says what came of it.

import { act, signed } from "../ask.js";
import { h, latency, number, percent, table } from "../dom.js";

const STATES = {
  answered: ["✓", "ok", "answered"], lossy: ["✕", "bad", "some are lost"], lost: ["✕", "bad", "all are lost"], refused: ["✕", "bad", "refused"],
  unconfirmed: ["?", "quiet", "answered, but nothing proves that it was the planned pod"], not_sent: ["–", "quiet", "not sent: its agent has sent what it may in this minute"], no_word: ["?", "quiet", "its agent said nothing in time"],
};

export function probe() {
  const said = h("div", { role: "status" }), button = h("button", { type: "button", onclick: () => void run() }, "Probe now"), hint = h("span", { class: "quiet" });
  const element = h("section", { "aria-label": "Probe now" }, h("p", {}, button, " ", hint), said);
  let ends = null, busy = false;

  async function run() {
    const { from, to } = ends;
    busy = button.disabled = true;
    said.replaceChildren(h("p", { class: "quiet" }, "Agents hear of it with their next report. This takes some seconds."));
    try {
      const both = await Promise.all([[from, to], [to, from]].map(([one, other]) => act("probe", signed.token, { from: one, to: other, count: 5 }).then((answer) => listed(one, other, answer), (error) => h("p", { class: "notice" }, `${one} → ${other}: ${error.message}.`))));
      if (ends.from === from && ends.to === to) said.replaceChildren(...both);
    } finally {
      busy = false;
      show(ends);
    }
  }

  function show(pair) {
    if (ends && (ends.from !== pair.from || ends.to !== pair.to)) said.replaceChildren();
    ends = pair;
    button.hidden = signed.mode === "off" || !signed.token;
    button.disabled = busy;
    hint.replaceChildren(button.hidden ? (signed.mode === "off" ? "To probe it now, from a shell: " : "Sign in to probe it now, or from a shell: ") : "Five packets on each planned path, in both directions.", button.hidden ? h("code", {}, `netmatrix probe ${pair.from} ${pair.to}`) : "");
  }

  return { element, show };
}

function listed(from, to, answer) {
  const left = answer.left_out ? `; ${answer.left_out} others cannot be probed on demand` : "";
  return table(`Probed now, ${from} → ${to}: ${answer.count} on each path${left}`, ["From", "To", "Layer", "Kind", "Lost", "Sent", "Mean", "What came of it"], answer.paths.map((one) => {
    const [mark, tone, words] = STATES[one.state] ?? ["", "", one.state];
    return h("tr", {}, h("td", {}, one.from?.vantage ?? from), h("td", {}, one.to?.name ?? to), h("td", {}, one.layer), h("td", {}, `${one.kind}${one.family === "ipv6" ? " IPv6" : ""}`), number(percent(one.loss)), number(one.sent), number(latency(one.mean_us)), h("td", {}, h("span", { class: `mark ${tone}` }, mark), words));
  }));
}
