// The matrix on a canvas: one pixel a pair, made larger or pooled by the worst, with names where there is room for them.
//
// What is drawn is an image of codes, scaled without smoothing, so that a million pairs cost one drawImage. Where a pair would be
// smaller than a pixel, pairs are pooled first and the worst of them stays: a red cell never vanishes.

import { h } from "./dom.js";
import { ink, LEVEL, looks, over, packed, UNKNOWN } from "./palette.js";
import { summed } from "./sums.js";

const LABEL = 10; // pixels a row needs before its name is written
const LARGEST = 44; // pixels a cell has at most
const SUMMARY = 26; // pixels of the bars beside rows and columns
const MOST_LABEL = 150;

export class Board {
  constructor({ picked, pointed }) {
    this.canvas = h("canvas", { tabindex: 0, role: "application" });
    this.canvas.board = this;
    this.tip = h("div", { class: "tip", hidden: true, role: "tooltip" });
    this.element = h("div", { class: "board" }, this.canvas, this.tip);
    this.picked = picked;
    this.pointed = pointed;
    this.cursor = null; // [row, column]
    this.view = { x: 0, y: 0, zoom: 1 };
    this.pools = new Map();
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  show(picture) {
    const same = this.picture && this.picture.rows.length === picture.rows.length && this.picture.columns.length === picture.columns.length;
    this.picture = picture;
    this.looks = looks(picture);
    this.colours = Uint32Array.from(this.looks, packed);
    this.pools.clear();
    if (!same) this.view = { x: 0, y: 0, zoom: 1 }, (this.cursor = null);
    Object.assign(this, summed(picture));
    this.canvas.setAttribute("aria-label", `Matrix of ${picture.rows.length} rows and ${picture.columns.length} columns. Arrow keys move, Enter opens, the same stands in the table.`);
    this.draw();
  }

  // Where everything is: the size of a cell, the room for names, what is visible.
  layout() {
    const { rows, columns } = this.picture, wide = this.element.clientWidth || 800;
    const longest = (names) => Math.min(MOST_LABEL, 10 + 6.6 * Math.max(0, ...names.slice(0, 2000).map((name) => name.length)));
    const left = Math.round(Math.min(longest(rows), wide / 4)) + SUMMARY + 4;
    const room = Math.max(50, wide - left - 2);
    const fit = Math.min(LARGEST, room / columns.length, Math.max(120, 0.78 * innerHeight) / Math.max(1, rows.length));
    const cell = Math.min(LARGEST, fit * this.view.zoom);
    const top = (cell >= LABEL ? Math.round(longest(columns) * 0.72) : 0) + SUMMARY + 8;
    const tall = Math.max(60, Math.min(Math.ceil(rows.length * cell), Math.round(0.78 * innerHeight)));
    const most = [Math.max(0, columns.length - room / cell), Math.max(0, rows.length - tall / cell)];
    this.view.x = Math.min(Math.max(0, this.view.x), most[0]);
    this.view.y = Math.min(Math.max(0, this.view.y), most[1]);
    return { left, top, cell, fit, wide, height: top + tall + 2, room: Math.min(room, columns.length * cell), tall: Math.min(tall, rows.length * cell) };
  }

  draw() {
    if (!this.picture || !this.element.isConnected) return;
    const place = (this.place = this.layout()), ratio = devicePixelRatio || 1;
    const { canvas, view } = this, pen = canvas.getContext("2d");
    canvas.width = Math.round(place.wide * ratio);
    canvas.height = Math.round(place.height * ratio);
    canvas.style.height = `${place.height}px`;
    pen.scale(ratio, ratio);
    pen.imageSmoothingEnabled = false;
    if (!this.picture.codes.length) return;
    const step = Math.max(1, Math.floor(1 / (place.cell * ratio)));
    const image = this.pooled(step);
    pen.save();
    pen.beginPath();
    pen.rect(place.left, place.top, place.room, place.tall);
    pen.clip();
    const drawn = place.cell * step;
    pen.drawImage(image, place.left - view.x * place.cell, place.top - view.y * place.cell, image.width * drawn, image.height * drawn);
    if (place.cell >= 8) this.grid(pen, place);
    pen.restore();
    this.names(pen, place);
    this.summaries(pen, place);
    this.frame(pen, place);
  }

  // The picture with `step` by `step` pairs in one pixel, the worst of them.
  pooled(step) {
    if (this.pools.has(step)) return this.pools.get(step);
    const { rows, columns, codes } = this.picture, width = Math.ceil(columns.length / step), height = Math.ceil(rows.length / step);
    let worst = codes;
    if (step > 1) {
      worst = new Uint8Array(width * height);
      for (let row = 0, at = 0; row < rows.length; row++) {
        const start = Math.floor(row / step) * width;
        for (let column = 0; column < columns.length; column++, at++) {
          const to = start + Math.floor(column / step);
          if (codes[at] > worst[to]) worst[to] = codes[at];
        }
      }
    }
    const image = new OffscreenCanvas(width, height), pen = image.getContext("2d"), pixels = new ImageData(width, height);
    const out = new Uint32Array(pixels.data.buffer);
    for (let at = 0; at < worst.length; at++) out[at] = this.colours[worst[at]];
    pen.putImageData(pixels, 0, 0);
    this.pools.set(step, image);
    return image;
  }

  visible(place) {
    const { rows, columns } = this.picture, { x, y } = this.view;
    return { firstRow: Math.floor(y), lastRow: Math.min(rows.length, Math.ceil(y + place.tall / place.cell)), firstColumn: Math.floor(x), lastColumn: Math.min(columns.length, Math.ceil(x + place.room / place.cell)) };
  }

  grid(pen, place) {
    const seen = this.visible(place), { cell, left, top } = place;
    pen.strokeStyle = ink();
    pen.globalAlpha = 0.09;
    pen.beginPath();
    for (let row = seen.firstRow; row <= seen.lastRow; row++) pen.moveTo(left, top + (row - this.view.y) * cell), pen.lineTo(left + place.room, top + (row - this.view.y) * cell);
    for (let column = seen.firstColumn; column <= seen.lastColumn; column++) pen.moveTo(left + (column - this.view.x) * cell, top), pen.lineTo(left + (column - this.view.x) * cell, top + place.tall);
    pen.stroke();
    pen.globalAlpha = 1;
    if (cell < 13) return;
    pen.font = `${Math.round(cell * 0.6)}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (let row = seen.firstRow; row < seen.lastRow; row++)
      for (let column = seen.firstColumn; column < seen.lastColumn; column++) {
        const look = this.looks[this.picture.codes[row * this.picture.columns.length + column]];
        if (!look.symbol) continue;
        pen.fillStyle = over(look.colour);
        pen.fillText(look.symbol, left + (column - this.view.x + 0.5) * cell, top + (row - this.view.y + 0.54) * cell);
      }
  }

  names(pen, place) {
    if (place.cell < LABEL) return;
    const seen = this.visible(place), { cell, left, top } = place, room = left - SUMMARY - 8;
    pen.fillStyle = ink();
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (let row = seen.firstRow; row < seen.lastRow; row++) {
      const y = top + (row - this.view.y + 0.5) * cell;
      if (y > top) pen.fillText(this.picture.rows[row], left - SUMMARY - 5, y, room);
    }
    pen.textAlign = "left";
    for (let column = seen.firstColumn; column < seen.lastColumn; column++) {
      const x = left + (column - this.view.x + 0.5) * cell;
      if (x < left) continue;
      pen.save();
      pen.translate(x, top - SUMMARY - 6);
      pen.rotate(-Math.PI / 4);
      pen.fillText(this.picture.columns[column], 0, 0, MOST_LABEL);
      pen.restore();
    }
  }

  summaries(pen, place) {
    const seen = this.visible(place), { cell, left, top } = place, size = Math.max(1, cell - (cell > 4 ? 1 : 0));
    const bar = (side, at, draw) => {
      if (side.worst[at] <= LEVEL && side.worst[at] !== UNKNOWN) return;
      pen.fillStyle = this.looks[side.worst[at]].colour;
      draw(Math.max(2, Math.round((SUMMARY - 4) * (side.known[at] ? Math.min(1, side.bad[at] / side.known[at]) : 0))));
    };
    for (let row = seen.firstRow; row < seen.lastRow; row++) bar(this.rowSide, row, (long) => pen.fillRect(left - 3 - long, Math.max(top, top + (row - this.view.y) * cell), long, size));
    for (let column = seen.firstColumn; column < seen.lastColumn; column++) bar(this.columnSide, column, (long) => pen.fillRect(Math.max(left, left + (column - this.view.x) * cell), top - 3 - long, size, long));
  }

  frame(pen, place) {
    if (!this.cursor) return;
    const x = place.left + (this.cursor[1] - this.view.x) * place.cell, y = place.top + (this.cursor[0] - this.view.y) * place.cell;
    pen.strokeStyle = ink();
    pen.lineWidth = 2;
    pen.strokeRect(x - 1, y - 1, Math.max(4, place.cell + 2), Math.max(4, place.cell + 2));
    pen.lineWidth = 1;
  }

  at(event) {
    if (!this.place) return null;
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left - this.place.left, y = event.clientY - box.top - this.place.top;
    if (x < 0 || y < 0 || x >= this.place.room || y >= this.place.tall) return null;
    const row = Math.floor(y / this.place.cell + this.view.y), column = Math.floor(x / this.place.cell + this.view.x);
    return row < this.picture.rows.length && column < this.picture.columns.length ? [row, column] : null;
  }

  listen() {
    const { canvas } = this;
    let held = null, moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      held = { x: event.clientX, y: event.clientY, view: { ...this.view } };
      moved = false;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (held && Math.hypot(event.clientX - held.x, event.clientY - held.y) > 4) {
        if (!moved) canvas.setPointerCapture(event.pointerId);
        moved = true;
        this.view.x = held.view.x - (event.clientX - held.x) / this.place.cell;
        this.view.y = held.view.y - (event.clientY - held.y) / this.place.cell;
        this.later();
      } else this.point(this.at(event));
    });
    const release = () => (held = null);
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => !held && this.point(null));
    canvas.addEventListener("click", (event) => {
      const at = this.at(event);
      if (!moved && at) this.picked(...at);
    });
    canvas.addEventListener("wheel", (event) => {
      if (!(event.ctrlKey || event.metaKey || this.view.zoom > 1 || this.place.cell < LABEL)) return; // else the page scrolls
      const before = this.place.cell;
      if (event.deltaY > 0 && this.view.zoom <= 1) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), event, before);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  zoom(factor, event, before = this.place.cell) {
    const box = this.canvas.getBoundingClientRect();
    const x = event ? Math.max(0, event.clientX - box.left - this.place.left) : this.place.room / 2, y = event ? Math.max(0, event.clientY - box.top - this.place.top) : this.place.tall / 2;
    const under = [this.view.x + x / before, this.view.y + y / before];
    this.view.zoom = Math.min(Math.max(1, this.view.zoom * factor), Math.max(1, LARGEST / this.place.fit));
    const cell = Math.min(LARGEST, this.place.fit * this.view.zoom);
    this.view.x = under[0] - x / cell;
    this.view.y = under[1] - y / cell;
    this.later();
  }

  key(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key in moves && this.picture?.codes.length) {
      event.preventDefault();
      const [row, column] = this.cursor ?? [0, -1], [down, right] = moves[event.key], stride = event.shiftKey ? 10 : 1;
      const clamp = (value, most) => Math.min(Math.max(0, value), most - 1);
      const next = [clamp(row + down * stride, this.picture.rows.length), clamp(column + right * stride, this.picture.columns.length)];
      this.follow(next);
      this.point(next);
    } else if (event.key === "Enter" && this.cursor) this.picked(...this.cursor);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") (this.view = { x: 0, y: 0, zoom: 1 }), this.later();
  }

  follow([row, column]) {
    const { cell, room, tall } = this.place;
    this.view.x = Math.min(Math.max(this.view.x, column + 1 - room / cell), column);
    this.view.y = Math.min(Math.max(this.view.y, row + 1 - tall / cell), row);
  }

  point(at) {
    if (String(at) !== String(this.cursor)) {
      this.cursor = at;
      this.later();
      this.pointed(at);
    }
    this.tip.hidden = !at;
    if (!at || !this.place) return;
    const x = this.place.left + (at[1] - this.view.x + 1) * this.place.cell + 8, y = this.place.top + (at[0] - this.view.y + 1) * this.place.cell + 8;
    this.tip.style.left = `${Math.max(4, Math.min(x, this.place.wide - this.tip.offsetWidth - 6))}px`;
    this.tip.style.top = `${Math.max(4, y + this.tip.offsetHeight > this.place.height ? y - this.tip.offsetHeight - this.place.cell - 16 : y)}px`;
  }

  later() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  // Everything as PNG, with names, as it is drawn.
  png() {
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }
}
