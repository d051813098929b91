// Elements from values. Text only ever becomes text, so a name that looks like HTML is shown as it is.

export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// One select with a label; `choices` are [value, words].
export function choice(label, value, choices, changed) {
  const select = h("select", { onchange: (event) => changed(event.target.value) },
    choices.map(([one, words]) => h("option", { value: one, selected: one === value }, words)));
  return h("label", {}, label, select);
}

export function table(caption, heads, rows) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows)));
}

// What was refused, and links to what exists, made by `to` of a name.
export function refusal(error, name, to, rest = []) {
  const list = (error.exists ?? []).flatMap((one, at) => [at ? ", " : "Is it one of these? ", h("a", { href: to(one) }, one)]);
  return h("p", { class: "notice" }, list.length ? `Nothing is called “${name}”. ` : `${error.message}. `, ...list, list.length ? ". " : "", ...rest);
}

export const number = (text) => h("td", { class: "number" }, text);
export const percent = (share) => (share === null || share === undefined ? "–" : share === 0 ? "0 %" : `${+(share * 100).toPrecision(3)} %`);

export function latency(us) {
  if (us === null || us === undefined) return "–";
  return us < 1000 ? `${Math.round(us)} µs` : us < 1e6 ? `${+(us / 1000).toPrecision(3)} ms` : `${+(us / 1e6).toPrecision(3)} s`;
}

export const clock = (text) => (text ? new Date(text).toLocaleString() : "–");

export function ago(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  const s = Math.max(0, Math.round(seconds));
  return s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 129600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}
