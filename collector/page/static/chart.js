// A small line over time with its last and its greatest value; the numbers are in the caption for those who do not see it.

import { h } from "./dom.js";
import { dark, ink } from "./palette.js";

export function chart(name, times, values, words) {
  const known = values.filter((value) => value !== null && value !== undefined), most = Math.max(0, ...known);
  const canvas = h("canvas", { width: 520, height: 180, role: "img", "aria-label": `${name} over time: now ${words(known.at(-1))}, at most ${words(most)}` });
  const pen = canvas.getContext("2d"), first = times[0], last = times.at(-1) || 1;
  const x = (time) => 4 + (512 * (time - first)) / Math.max(1, last - first), y = (value) => 172 - (160 * value) / (most || 1);
  pen.strokeStyle = dark() ? "#7cc0f2" : "#0b5c92";
  pen.lineWidth = 3;
  pen.beginPath();
  let drawing = false;
  values.forEach((value, at) => {
    if (value === null || value === undefined) return void (drawing = false);
    drawing ? pen.lineTo(x(times[at]), y(value)) : pen.moveTo(x(times[at]), y(value));
    drawing = true;
  });
  pen.stroke();
  pen.strokeStyle = ink();
  pen.globalAlpha = 0.25;
  pen.lineWidth = 1;
  pen.strokeRect(4, 8, 512, 166);
  return h("figure", {}, canvas, h("figcaption", {}, `${name}: now ${words(known.at(-1))}, at most ${words(most)}`));
}
