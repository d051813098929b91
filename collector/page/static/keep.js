// What a person has in hand stays while a view is made anew: the focus, how far a table is scrolled, and text that is selected.

const FOCUSABLE = "a, button, select, input, canvas, [tabindex]";

const named = (element) => [element.tagName, element.getAttribute("href"), element.getAttribute("aria-label") ?? (element.tagName === "A" || element.tagName === "BUTTON" ? element.textContent : element.closest("label")?.firstChild.textContent ?? "")].join("\n").replace(/\d+/g, "0");

// The elements of a place that a selector finds, by their names; those of one name are told apart by their order.
function keyed(place, selector) {
  const counts = new Map();
  return new Map([...place.querySelectorAll(selector)].map((one) => {
    const name = named(one), count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    return [`${name}\n${count}`, one];
  }));
}

// Note what is in hand within a place, and return what puts it back.
export function hold(place) {
  const scrolled = [...keyed(place, ".scroll")].filter(([, one]) => one.scrollLeft).map(([key, one]) => [key, one.scrollLeft]);
  const active = document.activeElement, focused = [...keyed(place, FOCUSABLE)].find(([, one]) => one === active)?.[0];
  return () => {
    if (focused && !active.isConnected) keyed(place, FOCUSABLE).get(focused)?.focus({ preventScroll: true });
    const tables = keyed(place, ".scroll");
    for (const [key, left] of scrolled) if (tables.has(key)) tables.get(key).scrollLeft = left;
  };
}

// Whether somebody chooses just now from a list of a place, which would close if it were made anew.
export const choosing = (place) => place.contains(document.activeElement) && document.activeElement.tagName === "SELECT";

// Whether text of a place is selected: it would be gone with the next look.
export function selecting(place) {
  const selection = getSelection();
  return Boolean(selection && !selection.isCollapsed && place.contains(selection.anchorNode));
}
