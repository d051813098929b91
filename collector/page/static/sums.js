// What a picture comes to: of each row and column its worst and how much of it is bad, of each code how many there are.
//
// One bad source is a long bar among short ones. A million pairs are gone through once, so nothing is made within.

import { isBad, LEVEL } from "./palette.js";

export function summed(picture) {
  const { rows, columns, codes } = picture, width = columns.length;
  const share = picture.measure === "loss" || picture.measure === "verdict";
  const weight = Float32Array.from({ length: 256 }, (_, code) => (code < LEVEL ? 0 : share ? (isBad(picture, code) ? 1 : 0) : (code - LEVEL) / 15));
  const side = (size) => ({ worst: new Uint8Array(size), bad: new Float32Array(size), known: new Float32Array(size) });
  const rowSide = side(rows.length), columnSide = side(width), counts = new Uint32Array(256);
  for (let row = 0, at = 0; row < rows.length; row++) {
    let worst = 0, bad = 0, known = 0;
    for (let column = 0; column < width; column++, at++) {
      const code = codes[at];
      counts[code]++;
      if (code === 0) continue;
      if (code > worst) worst = code;
      if (code > columnSide.worst[column]) columnSide.worst[column] = code;
      if (code < LEVEL) continue;
      known++;
      columnSide.known[column]++;
      bad += weight[code];
      columnSide.bad[column] += weight[code];
    }
    rowSide.worst[row] = worst;
    rowSide.bad[row] = bad;
    rowSide.known[row] = known;
  }
  return { rowSide, columnSide, counts };
}

// The places of the worst pairs, at most so many.
export function worst({ codes }, counts, most, least = 1) {
  const found = [];
  for (let code = 255; code >= least && found.length < most; code--)
    for (let at = counts[code] ? codes.indexOf(code) : -1; at >= 0 && found.length < most; at = codes.indexOf(code, at + 1)) found.push(at);
  return found;
}
