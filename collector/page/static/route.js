// What is shown, as it stands in the address: `#/`, `#/pair`, `#/incidents` and so on, with parameters. A link is a state.

export function here() {
  const [path, query] = location.hash.replace(/^#/, "").split("?", 2);
  return { page: path.replace(/^\//, "").split("/")[0], words: path.replace(/^\//, "").split("/").slice(1).map(decoded), parameters: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

export function link(page, parameters, words = []) {
  const query = new URLSearchParams(Object.entries(parameters ?? {}).filter(([, value]) => value));
  return `#/${[page, ...words.map(encodeURIComponent)].filter(Boolean).join("/")}${query.size ? `?${query}` : ""}`;
}

// Change some parameters of what is shown; `replace` leaves no step back.
export function change(some, { replace = false } = {}) {
  const { page, words, parameters } = here();
  const target = link(page, { ...parameters, ...some }, words);
  if (replace) history.replaceState(null, "", target), dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = target;
}
