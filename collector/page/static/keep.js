// What a person has in hand stays while a view is made anew: the focus, how far a table is scrolled, and text that is selected.

const FOCUSABLE = "a, button, select, input, canvas, [tabindex]";

const named = (element) => [element.tagName, element.getAttribute("href"), element.getAttribute("aria-label") ?? (element.tagName === "A" || element.tagName === "BUTTON" ? element.textContent : element.closest("label")?.firstChild.textContent ?? "")].join("\n").replace(/\d+/g, "0");

// Note what is in hand within a place, and return what puts it back.
export function hold(place) {
  const scrolled = new Map([...place.querySelectorAll(".scroll")].filter((one) => one.scrollLeft).map((one) => [named(one), one.scrollLeft]));
  const active = document.activeElement, key = active && active !== place && place.contains(active) ? named(active) : null;
  const same = () => [...place.querySelectorAll(FOCUSABLE)].filter((one) => named(one) === key);
  const at = key === null ? -1 : same().indexOf(active);
  return () => {
    if (at >= 0 && !active.isConnected) same()[at]?.focus({ preventScroll: true });
    for (const one of place.querySelectorAll(".scroll")) if (scrolled.has(named(one))) one.scrollLeft = scrolled.get(named(one));
  };
}

// Whether somebody chooses just now from a list of a place, which would close if it were made anew.
export const choosing = (place) => place.contains(document.activeElement) && document.activeElement.tagName === "SELECT";

// Whether text of a place is selected: it would be gone with the next look.
export function selecting(place) {
  const selection = getSelection();
  return Boolean(selection && !selection.isCollapsed && place.contains(selection.anchorNode));
}
