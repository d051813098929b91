// The page: one view at a time, by the address, made anew at each beat of the collector while somebody looks.

import { beats, json, Refused, signed } from "./ask.js";
import { ago, h } from "./dom.js";
import { hold, selecting } from "./keep.js";
import { here, link } from "./route.js";
import { signing } from "./sign.js";
import { agents } from "./views/agents.js";
import { expectations } from "./views/expectations.js";
import { incident } from "./views/incident.js";
import { incidents, sentences } from "./views/incidents.js";
import { matrix } from "./views/matrix.js";
import { pair } from "./views/pair.js";

const PAGES = { "": matrix, pair, incidents, incident, expectations, agents };
const BEAT_MS = 5000;
const OLD_MS = 20000;

const main = document.getElementById("main"), verdict = document.getElementById("verdict");
const age = document.getElementById("age"), pause = document.getElementById("pause");
const state = { view: null, shown: "", fresh: -1, paused: false, trouble: "", busy: false, known: false, restart: () => {} };
const sign = signing(document.getElementById("sign"), () => {
  state.restart();
  void refresh();
});

async function turn() {
  const { page, words, parameters } = here();
  const key = [page, ...words].join("/");
  for (const anchor of document.querySelectorAll("nav a")) {
    const own = anchor.hash.replace(/^#\//, "");
    anchor.toggleAttribute("aria-current", own === page || (own === "incidents" && page === "incident") || (own === "" && page === "pair"));
  }
  if (key !== state.shown || !state.view) {
    state.view?.close?.();
    state.shown = key;
    const make = PAGES[page];
    state.view = make ? make(words, parameters) : null;
    main.replaceChildren(state.view ? state.view.element : lost(page));
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  await refresh();
}

function lost(page) {
  return h("div", { class: "notice" }, h("h1", {}, "There is no such page"),
    h("p", {}, `Nothing is called “${page}” here. There are the `, h("a", { href: "#/" }, "matrix"), ", ", h("a", { href: "#/incidents" }, "incidents"), ", ",
      h("a", { href: "#/expectations" }, "expectations"), " and ", h("a", { href: "#/agents" }, "agents"), "."));
}

// Ask again for all that is shown. What fails is said, and what was there stays. A view is asked first and drawn then, at once:
// what a person takes in hand while the answer is on its way is in hand still.
async function refresh(unasked = false) {
  if (state.busy) return void (state.again = true);
  state.busy = true;
  const view = state.view;
  try {
    if (!state.known) await sign.ready(), (state.known = true), state.restart();
    const [told, seen] = await Promise.allSettled([json("incidents").catch(missing), view?.ask(here().parameters)]);
    if (unasked && selecting(main)) return;
    if (told.status === "fulfilled") sentences(verdict, told.value);
    const restore = hold(main);
    if (view === state.view) seen.status === "rejected" ? refused(view, seen.reason) : seen.value?.draw();
    restore();
    if (told.status === "rejected") throw told.reason;
    if (seen.status === "rejected" && !answered(seen.reason)) throw seen.reason;
    state.fresh = performance.now() - 1000 * Math.max(told.value.age_seconds ?? 0, seen.value?.age ?? 0);
    state.trouble = "";
    document.title = `${told.value.incidents?.length ? `(${told.value.incidents.length}) ` : ""}netmatrix`;
  } catch (error) {
    state.trouble = error instanceof Refused ? error.message : String(error);
    if (error instanceof Refused) sign.refused(error);
  } finally {
    state.busy = false;
    tell();
    if (state.again) (state.again = false), void refresh();
  }
}

// A question that is wrong is answered: the view says so, and nothing is amiss with the collector.
const answered = (error) => error instanceof Refused && [400, 404, 414].includes(error.status);

function refused(view, error) {
  if (error instanceof Refused && error.status >= 400 && error.status < 500) view.refused?.(error);
}

// An older collector has no incidents; it is still worth looking at.
function missing(error) {
  if (error.status === 404) return { state: "", sentence: "", incidents: [] };
  throw error;
}

function tell() {
  const old = performance.now() - state.fresh, known = state.fresh !== -1;
  age.classList.toggle("old", Boolean(state.trouble) || (known && !state.paused && old > OLD_MS));
  const words = known ? `data of ${ago(old / 1000)} ago` : "no data yet";
  const rest = state.trouble ? `: ${state.trouble}` : state.paused ? ", paused" : selecting(main) ? ", waiting while text is selected" : "";
  age.textContent = words + rest;
}

// The collector says when there is something new; where that does not get through, the page asks by itself.
function live() {
  let events = null, beat = 0, last = 0, stream = new AbortController();
  const due = () => {
    if (state.paused || document.hidden || selecting(main)) return;
    last = performance.now();
    void refresh(true);
  };
  const start = () => {
    events?.close();
    stream.abort();
    events = null;
    if (state.paused || document.hidden || !state.known) return;
    if (signed.mode === "all") return void (signed.token && follow((stream = new AbortController()).signal));
    events = new EventSource("api/v1/events");
    events.addEventListener("beat", due);
  };
  const follow = (signal) => beats(due, signal).catch(() => {}).finally(() => setTimeout(() => signal.aborted || follow(signal), 3000));
  state.restart = start;
  beat = setInterval(() => {
    if (performance.now() - last > BEAT_MS * 1.8) due();
    tell();
  }, 1000);
  document.addEventListener("visibilitychange", () => (start(), due()));
  pause.addEventListener("click", () => {
    state.paused = !state.paused;
    pause.setAttribute("aria-pressed", state.paused);
    start();
    state.paused ? tell() : due();
  });
  addEventListener("pagehide", () => (clearInterval(beat), events?.close(), stream.abort()));
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  start();
}

addEventListener("hashchange", () => void turn());
addEventListener("keydown", (event) => {
  if (event.target.matches?.("input, select, textarea") || event.target.closest?.("dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" || event.key === "Backspace") history.back();
  if (event.key === "m") location.hash = link("");
  if (event.key === "i") location.hash = link("incidents");
  if (event.key === "p") pause.click();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => void refresh());
live();
void turn();
