// What a code looks like: a colour that colour-blind people can tell apart (blue to orange, no red against green), and a symbol
// where a cell is large enough for one, so that nothing depends on colour alone.

export const LEVEL = 16;

export const UNSAMPLED = 1;
export const UNKNOWN = 3;

const STATES = [
  { word: "no path", symbol: "", light: "#eef1f4", dark: "#10181f" },
  { word: "unsampled: not in the plan now", symbol: "·", light: "#d8cfe0", dark: "#263138" },
  { word: "excluded: an end is going, coming or not ready", symbol: "–", light: "#b8abca", dark: "#443858" },
  { word: "unknown: nobody says anything", symbol: "?", light: "#a1b4b1", dark: "#4a5761" },
  { word: "closed, as it should be", symbol: "⊘", light: "#c2d9c8", dark: "#234738" },
];

const VERDICTS = [
  { word: "ok", symbol: "", light: "#b3d8fd", dark: "#23577d" },
  { word: "closed as it should be, but nothing proves that the target listens", symbol: "⊙", light: "#f5e2be", dark: "#4e3f22" },
  { word: "degraded", symbol: "!", light: "#f6b44a", dark: "#9d6000" },
  { word: "the target itself is down", symbol: "↓", light: "#e08a3c", dark: "#ce7319" },
  { word: "broken: closed, and should be open", symbol: "✕", light: "#b3290f", dark: "#f36448" },
  { word: "leak: open, and should be closed", symbol: "◆", light: "#7d2a91", dark: "#cf86e3" },
];

const RAMP_LIGHT = ["#b3d8fd", "#dcebd9", "#f7eeb4", "#fbdf86", "#f9c75b", "#f4a63c", "#ea8127", "#d95d1b", "#c43f14", "#a3230f", "#7f1408", "#4d0a05"];
const RAMP_DARK = ["#23577d", "#33564b", "#5d5a2b", "#7c6420", "#9a6a17", "#b86f16", "#d2711f", "#e5702f", "#f36448", "#ff7a5c", "#ffa08a", "#ffd0c4"];

// Whether a code says that something is wrong. That a deny is not proven is no fault.
export const isBad = (picture, code) => (picture.measure === "loss" && code > LEVEL) || (picture.measure === "verdict" && code > LEVEL + 1);

export const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;

function mixed(ramp, share) {
  const at = share * (ramp.length - 1), low = Math.floor(at), high = Math.min(low + 1, ramp.length - 1);
  const parts = (colour) => [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  const one = parts(ramp[low]), other = parts(ramp[high]);
  return `#${one.map((part, i) => Math.round(part + (other[i] - part) * (at - low)).toString(16).padStart(2, "0")).join("")}`;
}

// The look of every code of a picture: {word, symbol, colour} by code.
export function looks(picture) {
  const theme = dark() ? "dark" : "light", ramp = dark() ? RAMP_DARK : RAMP_LIGHT;
  const result = new Array(256).fill(null).map(() => ({ word: "", symbol: "", colour: STATES[0][theme] }));
  STATES.forEach((state, code) => (result[code] = { word: state.word, symbol: state.symbol, colour: state[theme] }));
  if (picture.measure === "verdict") {
    VERDICTS.forEach((one, level) => (result[LEVEL + level] = { word: one.word, symbol: one.symbol, colour: one[theme] }));
    return result;
  }
  const bounds = picture.levels, count = bounds.length + 1;
  for (let level = 0; level < count; level++) {
    const loss = picture.measure === "loss";
    const share = loss ? level / (count - 1) : Math.min(1, level / 13);
    const word = level < bounds.length ? `${level || !loss ? "up to " : ""}${unit(picture.measure, bounds[level])}` : loss ? "all lost" : `more than ${unit(picture.measure, bounds.at(-1))}`;
    result[LEVEL + level] = { word, symbol: loss ? lossSymbol(level, count) : "", colour: mixed(ramp, share) };
  }
  return result;
}

function lossSymbol(level, count) {
  if (!level) return "";
  return level === count - 1 ? "✕" : level >= count - 4 ? "×" : "•";
}

function unit(measure, bound) {
  if (measure === "loss") return bound ? `${+(bound * 100).toPrecision(3)} % lost` : "none lost";
  const us = bound / 1000;
  return us < 1000 ? `${Math.round(us)} µs` : us < 1e6 ? `${+(us / 1000).toPrecision(2)} ms` : `${+(us / 1e6).toPrecision(2)} s`;
}

// Colours as 32-bit values in the byte order of ImageData.
export function packed(look) {
  const value = parseInt(look.colour.slice(1), 16);
  return (255 << 24 | (value & 255) << 16 | (value >> 8 & 255) << 8 | value >> 16) >>> 0;
}

export const ink = () => (dark() ? "#e4ebf1" : "#14202b");

// Black or white, whichever is read more easily on a colour.
export function over(colour) {
  const value = parseInt(colour.slice(1), 16);
  return 0.299 * (value >> 16) + 0.587 * (value >> 8 & 255) + 0.114 * (value & 255) > 150 ? "#14202b" : "#ffffff";
}
